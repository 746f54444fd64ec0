"""`reproduce`: the papers' tables beside what is measured with the hypernetworks and data that are at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .published import NORMS, TABLES, TORCHVISION, PublishedTable

SPLITS = ("val", "test", "wide", "deep", "dense", "bnfree", "predefined")
_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: per split what was published and what was measured (empty where there is nothing).

    ``command`` closes it where something is absent, and ``why`` says what.
    """

    name: str
    published: dict[str, str]
    measured: dict[str, str]
    why: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def to_markdown(self) -> str:
        """The table as text, with the commands that would close it below."""
        lines = [f"## {self.title}", "", f"| | | {' | '.join(self.columns)} |", "|---" * (len(self.columns) + 2) + "|"]
        for row in self.rows:
            for what, values in (("published", row.published), ("measured", row.measured)):
                if values or (what == "measured" and row.why):
                    cells = [values.get(column, _ABSENT if row.why and not values else "") for column in self.columns]
                    lines.append(f"| {row.name} | {what} | {' | '.join(cells)} |")
        absent = [f"- {row.name}: {row.why}; `{row.command}`" for row in self.rows if row.why]
        return "\n".join([*lines, *(["", "To close it, on a machine with a graphics card:", *absent] if absent else [])])


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All tables; ``note`` says what makes numbers differ that are not of the same networks."""

    tables: tuple[Table, ...]
    note: str

    def to_markdown(self) -> str:
        """The page that the command prints."""
        return "\n\n".join([*(table.to_markdown() for table in self.tables), self.note])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"note": self.note, "tables": [asdict(table) for table in self.tables]}


_NOTE = (
    "The published evaluation networks cannot be drawn again; those measured here are the fixed splits that come with netloom, "
    "drawn by the same rules. With the authors' files, nl.spaces.read_published gives the published ones."
)


def reproduce(
    files: Sequence[str | Path] = (),
    *,
    task: str | None = None,
    count: int = 100,
    samples: int | None = None,
    channels: int | None = None,
    data_dir: str | Path | None = None,
    tell: Callable[[str], object] | None = None,
) -> Reproduction:
    """The published tables beside measured ones; nothing is fetched.

    Published hypernetworks are measured where their files and data are in the folder for downloads (``data_dir``, or the
    user's cache); ``files`` are further ones, measured on ``task`` (by default what each was trained on) beside random
    initialisation, on the first ``count`` networks of each split with ``channels`` (None: those of the split). ``tell`` is
    given a line for each part that is done.

    >>> found = reproduce()
    >>> [table.columns[0] for table in found.tables], found.tables[0].rows[2].published["test"]
    (['val', 'val', 'mean of 74', 'resnet18'], '66.9 ± 0.3')
    """
    tables = [_own(str(file), task, count, samples, channels, tell) for file in files]
    tables += [_published(table, count, samples, data_dir, tell) for table in TABLES]
    tables += [_torchvision(), _norms(data_dir)]
    return Reproduction(tuple(tables), _NOTE)


# -- hypernetworks that are given ------------------------------------------------------------------------------------------
def _own(file: str, spec: str | None, count: int, samples: int | None, channels: int | None, tell: Any) -> Table:
    from ..tasks import load as load_task
    from .loading import load

    ghn = load(file)
    task = load_task(spec or str(ghn.about.get("task") or "digits"))
    if channels is None and ghn.about.get("channels"):
        channels = int(ghn.about["channels"])
    rows = []
    for name, of in ((Path(file).name, ghn), ("random initialisation", None)):
        measured = {split: _measured(of, task, split, count, samples, channels, name, tell) for split in SPLITS}
        rows.append(Row(name, {}, measured))
    wide = f", {channels} channels (wide: {4 * channels})" if channels else ""
    title = f"{Path(file).name} on {task.spec or task.name}: top-1 accuracy, %, first {count} networks of each split{wide}"
    return Table(title, SPLITS, tuple(rows))


def _measured(
    ghn: Any, task: Any, split: str, count: int, samples: int | None, channels: int | None, name: str, tell: Any
) -> str:  # fmt: skip
    from .candidates import Candidates
    from .evaluating import evaluate

    if split == "predefined" and channels:
        return ""  # they have the channels that they have
    wider = channels * (4 if split == "wide" else 1) if channels else None
    candidates = Candidates(task, split, channels=wider)
    found = evaluate(
        ghn, candidates.among(range(min(count, len(candidates)))), task, part=_part(split), max_samples=samples
    )  # fmt: skip
    text = " / ".join(f"{100 * value:.1f}" for value in found.top1) if split == "predefined" else _told(found)
    if tell is not None:
        tell(f"{name}, {split}: {text}")
    return text


def _part(split: str) -> str:
    """As the papers do: networks of val with images of the validation part, all others with those of the test part."""
    return "valid" if split == "val" else "test"


def _told(found: Any) -> str:
    error = found.standard_error
    return f"{100 * found.mean:.1f}" + ("" if math.isnan(error) else f" ± {100 * error:.1f}")


# -- published ones --------------------------------------------------------------------------------------------------------
def _published(table: PublishedTable, count: int, samples: int | None, data_dir: Any, tell: Any) -> Table:
    rows = []
    for published in table.rows:
        if published.trained:
            rows.append(_trained(published.hypernetwork, published.values, table.data))
            continue
        name = published.hypernetwork
        lacks = [what for what in (_lacks_file(name, data_dir), _lacks_data(table.data, data_dir)) if what]
        task = "cifar10" if table.data == "cifar10" else "imagenet:FOLDER"
        if lacks or table.data != "cifar10":
            command = f"netloom ghn eval {name} --task {task} --part test --split test -n 500"
            rows.append(Row(name, published.values, {}, " and ".join(lacks) or "give --task imagenet:FOLDER", command))
        else:
            rows.append(Row(name, published.values, _measured_published(name, count, samples, data_dir, tell)))
    return Table(table.title, SPLITS, tuple(rows))


def _measured_published(name: str, count: int, samples: int | None, data_dir: Any, tell: Any) -> dict[str, str]:
    from ..tasks import load as load_task
    from .loading import load

    ghn, task = load(name, data_dir=data_dir), load_task("cifar10", data_dir=data_dir, progress=False)
    return {split: _measured(ghn, task, split, count, samples, None, name, tell) for split in SPLITS}


def _trained(name: str, values: dict[str, str], data: str) -> Row:
    task, recipe = ("cifar10", "--recipe ppuda-50") if data == "cifar10" else ("imagenet:FOLDER", "")
    if data != "cifar10":
        recipe = "--recipe ppuda-50 --batch-size 128 --learning-rate 0.1 --weight-decay 3e-5 --epochs 1"
    command = f"netloom train deepnets1m:test/0 --task {task} {recipe} --test"
    return Row(name, values, {}, "every network of the split trained", command)


def _lacks_file(name: str, data_dir: Any) -> str:
    from ..tasks.downloads.fetching import data_folder

    return "" if (data_folder(data_dir) / "ghn" / f"{name}.pt").exists() else f"the file {name}.pt"


def _lacks_data(data: str, data_dir: Any) -> str:
    from ..tasks.downloads import is_fetched

    if data == "cifar10" and is_fetched("cifar10", data_dir):
        return ""
    return "the images of CIFAR-10" if data == "cifar10" else "the images of ImageNet"


def _torchvision() -> Table:
    columns = ("mean of 74", "best", "resnet50")
    rows = [
        Row(
            row.hypernetwork, row.values, {}, "the images of ImageNet",
            f"netloom ghn predict torchvision.models:resnet50 --file {row.hypernetwork} --out filled.safetensors",
        )
        for row in TORCHVISION.rows
    ]  # fmt: skip
    return Table(TORCHVISION.title, columns, tuple(rows))


def _norms(data_dir: Any) -> Table:
    """Norms need no images: they are the acceptance test of whoever has the files."""
    columns = tuple(NORMS["ghn2"])
    rows = []
    for name, norms in NORMS.items():
        published = {model: f"{norm:.4f}" for model, norm in norms.items()}
        file = "ghn2_imagenet" if name == "ghn2" else name
        lacks = _lacks_file(file, data_dir) or _lacks_torchvision()
        measured = {} if lacks else {model: f"{_norm(file, model, data_dir):.4f}" for model in columns}
        rows.append(Row(name, published, measured, lacks, f"netloom ghn convert {file} {file}.safetensors" if lacks else ""))
    return Table("Norm of all predicted parameters of torchvision's models (released with GHN-3)", columns, tuple(rows))


def _lacks_torchvision() -> str:
    from importlib.util import find_spec

    return "" if find_spec("torchvision") else "the package torchvision"


def _norm(file: str, model: str, data_dir: Any) -> float:
    from importlib import import_module

    import torch

    from .loading import load

    with torch.no_grad():
        found = load(file, data_dir=data_dir).predict(
            getattr(import_module("torchvision.models"), model)(), torch.zeros(1, 3, 224, 224)
        )  # fmt: skip
        return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in found.tensors.values()))
