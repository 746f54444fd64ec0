"""``netloom tour``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import SearchError
from ..touring import Tour, tour


def run(given: argparse.Namespace) -> int:
    """Go on the tour, then say where its page is."""
    from ..tasks import load as load_task

    model, data = _model(given)
    task = load_task(_task_spec(data, given.target), data_dir=given.data_dir)
    out = Path(given.out)
    if out.exists() and not out.is_dir():
        raise SearchError(f"--out {given.out}: there is a file of that name; give a directory")
    shown = not given.quiet

    def tell(text: str) -> None:
        if shown:
            print(text, file=sys.stderr, flush=True)

    found = tour(
        task, model, budget=given.budget, directory=out, seed=given.seed, progress=shown and sys.stderr.isatty(), tell=tell
    )  # fmt: skip
    if given.json:
        print(json.dumps({**found.numbers(), "page": str(found.page), "report": str(found.report)}))
    else:
        _tell(found)
    return 0


def _model(given: argparse.Namespace) -> tuple[Any, str]:
    """The network that SUBJECT names, None where it names data; and the data."""
    from .networks import is_graph_file, load_graph, load_model

    subject = given.subject
    if subject is None:
        return None, given.task or "digits"
    if is_graph_file(subject):
        return load_graph(subject), given.task or "digits"
    module, colon, function = subject.partition(":")
    is_code = bool(colon) and module.replace(".", "").isidentifier() and function.replace(".", "").isidentifier()
    if subject.endswith(".safetensors") or (is_code and given.task is not None) or (is_code and not _is_task(subject)):
        return load_model(subject)[0], given.task or "digits"
    if given.task is not None:
        raise SearchError(f"SUBJECT {subject!r} and --task {given.task!r} are both data; give one of them")
    return None, subject


def _is_task(subject: str) -> bool:
    from ..tasks import names

    return subject.partition(":")[0] in {str(name).partition(":")[0] for name in names()}


def _task_spec(data: str, target: str | None) -> str:
    """The task that data and --target mean."""
    from .search_command import task_spec

    return task_spec(data, target)


def _tell(found: Tour) -> None:
    count = f"{found.best_graph.num_params:,} parameters"
    print(f"best        {found.test_score:.4f} on the test part, {count}, found by {found.best_step!r}")
    for rival in found.rivals:
        print(f"            {rival.score:.4f} {rival.name}")
    for step in found.ablation.steps:
        gain, final = found.ablation.gain(step), found.ablation.final(step)[0]
        print(f"{step:<20}{final:.4f} {'' if gain is None else f'{gain[0]:+.4f}'}")
    for step, why in found.ablation.left_out.items():
        print(f"{step:<20}left out: {why}")
    print(f"network     {found.page.parent / 'best.safetensors'}")
    print(f"report      {found.report}")
    print(f"page        {found.page.resolve()}")
