"""The report of a run of 10,000 evaluations: how long it takes to write, and to open in headless Chromium.

``python -m benchmarks.report [--evaluations 10000] [--repeats 5]`` fills a store with an evolution that never ran (minutes;
it is kept in ``--folder`` and used again), writes the page, and opens it, each time in a new browser. *Ready* is the time from
the beginning of the navigation until the page has drawn itself, by the browser's own clock; *main thread* the processor
seconds that this takes. Sorting and filtering are the time until the rows in sight are new.

``--picture URL`` writes the picture of the documentation instead: the report of the latest run of that store.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import netloom as nl
from netloom.store import Store
from tests.reporting.browser import ABSENT, PROGRAM, Browser
from tests.reporting.synthetic import fill

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
ACTIONS = {
    "sort by parameters": "sortBy(view.columns.find((c) => c.key === 'params'))",
    "filter by an operator": "view.filter = 'gelu'; drawTable()",
    "filter by numbers": "view.filter = 'score>0.9 params<50k'; drawTable()",
    "open a candidate": "openDetail(RUN.best)",
    "one step of the lineage": "go(1)",
}


def store_of(folder: Path, count: int) -> str:
    """The URL of a store with a run of so many evaluations, made where it is not there yet."""
    url = f"sqlite:///{folder}/{count}.db"
    if not (folder / f"{count}.db").exists():
        with Store(url) as store:
            fill(store, count)
    return url


def opened(page: Path, repeats: int) -> tuple[list[float], list[float]]:
    """(ready, busy) seconds of every opening, each in a browser of its own."""
    ready, busy = [], []
    for _ in range(repeats):
        with Browser() as browser:
            browser.call("Performance.enable", timeDomain="threadTicks")
            before = metric(browser, "TaskDuration")
            browser.open(page)
            ready.append(browser.run("performance.getEntriesByName('ready')[0].startTime") / 1000)
            busy.append(metric(browser, "TaskDuration") - before)
            assert browser.errors == [], browser.errors
    return ready, busy


def picture(url: str, folder: Path) -> None:
    """Write ``docs/images/report.png``: what a reader sees first."""
    page = nl.report(url, folder / "picture")
    with Browser(1280, 1560) as browser:
        browser.open(page)
        browser.pause(1.0)
        print(browser.photograph(IMAGES / "report.png", whole=False))


def metric(browser: Browser, name: str) -> float:
    return next(float(m["value"]) for m in browser.call("Performance.getMetrics")["metrics"] if m["name"] == name)


def acted(page: Path) -> dict[str, float]:
    """Milliseconds of what a reader does."""
    with Browser() as browser:
        browser.open(page)
        timed = (
            "(() => {{ const begun = performance.now(); {}; document.body.offsetHeight; return performance.now() - begun; }})()"
        )
        return {
            name: statistics.median(browser.run(timed.format(script)) for _ in range(5)) for name, script in ACTIONS.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "netloom-report")
    parser.add_argument("--picture", metavar="URL")
    given = parser.parse_args()
    if PROGRAM is None:
        raise SystemExit(ABSENT)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.picture:
        picture(given.picture, given.folder)
        return
    url = store_of(given.folder, given.evaluations)
    begun = time.process_time()
    page = nl.report(url, given.folder / "page")
    print(f"{given.evaluations:,} evaluations")
    print(f"written in     {time.process_time() - begun:6.2f} CPU s, {page.stat().st_size / 1e6:.1f} MB")
    ready, busy = opened(page, given.repeats)
    print(f"ready after    {statistics.median(ready):6.2f} s   (best {min(ready):.2f}, worst {max(ready):.2f})")
    print(f"main thread    {statistics.median(busy):6.2f} CPU s")
    for name, milliseconds in acted(page).items():
        print(f"{name:<24} {milliseconds:6.0f} ms")


if __name__ == "__main__":
    main()
