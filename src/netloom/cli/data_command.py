"""``netloom data``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import FormatError, TaskError
from ..tasks import load
from ..tasks.cache import cache_folder, clear_decoded, decoded_bytes
from ..tasks.describing import describe, describe_text
from ..tasks.downloads import CATALOGUE, data_folder, fetch, is_fetched
from ..tasks.loading import FORMS


def run(given: argparse.Namespace) -> int:
    """List, show, fetch or clear."""
    if given.action in ("show", "fetch") and not given.what:
        lacking = "a SPEC, such as digits" if given.action == "show" else f"a NAME: {', '.join(CATALOGUE)}"
        raise TaskError(f"data {given.action} needs {lacking}")
    if given.action in ("ls", "clear") and given.what:
        raise TaskError(f"data {given.action} takes no {given.what[0]!r}; did you mean: netloom data show {given.what[0]}?")
    if given.action == "clear" and given.data_dir is not None:
        raise TaskError(
            f"data clear removes decoded copies from the cache ({cache_folder()}, or $NETLOOM_CACHE) and nothing from "
            f"--data-dir {given.data_dir!r}; leave the option out"
        )
    if given.action != "show" and given.picture is not None:
        raise TaskError(f"data {given.action} draws no --picture; did you mean: netloom data show SPEC --picture …")
    actions = {"ls": _list, "show": _show, "fetch": _fetch, "clear": _clear}
    actions[given.action](given)
    return 0


def _list(given: argparse.Namespace) -> None:
    folder = data_folder(given.data_dir)
    fetched = {name: str(folder / name) if is_fetched(name, given.data_dir) else None for name in CATALOGUE}
    cache = {"folder": str(cache_folder()), "decoded_bytes": decoded_bytes()}
    if given.json:
        print(json.dumps({"tasks": FORMS, "fetched": fetched, "cache": cache}, ensure_ascii=False))
        return
    print("tasks (settings after '?'; netloom data show SPEC says more)")
    for form in FORMS.values():
        print(f"  {form}")
    print("\ndata to fetch (netloom data fetch NAME)")
    for name, data in CATALOGUE.items():
        size = sum(file.megabytes for file in data.files)
        state = fetched[name] or ("not fetched" + (f", {size:,.0f} MB" if size else ""))
        print(f"  {name:<11} {data.title}\n  {'':<11} {data.source}\n  {'':<11} {state}")
    print(f"\ncache   {cache['folder']}, {decoded_bytes() / 2**20:,.1f} MiB of decoded data")


def _show(given: argparse.Namespace) -> None:
    if given.picture is not None and len(given.what) > 1:
        raise TaskError("--picture shows one task; give one SPEC")
    found: list[dict[str, Any]] = []
    for spec in given.what:
        task = load(spec, data_dir=given.data_dir, progress=not given.quiet)
        found.append(describe(task, read_all=given.hash))
        if not given.json:
            print(("\n" if len(found) > 1 else "") + describe_text(found[-1]))
        if given.picture is not None:
            _draw(task, given.picture)
            if not given.json:
                print(f"picture     {given.picture}")
    if given.json:
        print(json.dumps(found if len(found) > 1 else found[0], ensure_ascii=False))


def _draw(task: Any, path: str) -> None:
    from ..tasks.images.picturing import contact_sheet

    if Path(path).suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise FormatError(f"--picture {path}: expected a file that ends with .png")
    try:
        contact_sheet(task).save(path)
    except OSError as error:
        raise FormatError(f"cannot write {path!r}: {error.strerror or error}") from None


def _fetch(given: argparse.Namespace) -> None:
    for name in given.what:
        settings: dict[str, Any] = {"everything": given.all, "mirror": given.mirror, "show": not given.quiet}
        folder = fetch(name, given.data_dir, files=tuple(given.file), **settings)
        print(f"{name}: {folder}")


def _clear(given: argparse.Namespace) -> None:
    freed = clear_decoded()
    print(f"{freed / 2**20:,.1f} MiB of decoded data removed from {cache_folder()}")
