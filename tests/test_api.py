"""The public names: which there are, that importing submodules leaves them whole, and that importing is quick."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import netloom as nl

#: Every public name except operators (which tests/golden or `REGISTRY` list): adding one is a decision, so is removing one.
NAMES = {
    "Classifier", "Graph", "NetloomError", "Network", "Node", "Regressor", "Size", "Store", "Value", "build", "diff", "edit",
    "get_meta_features", "grow", "input", "load_network", "op", "parameter", "prune", "report", "search", "to_onnx", "trace",
    "train", "train_many",
}  # fmt: skip
ROOMS = {
    "building", "errors", "generate", "ghn", "graph", "measure", "mutate", "ops", "reporting", "searching", "spaces", "store",
    "tasks",
    "touring", "tracing", "training", "zoo",
}  # fmt: skip


def submodules() -> list[str]:
    return sorted(module.name for module in pkgutil.walk_packages(nl.__path__, "netloom."))


def fresh(code: str) -> str:
    """What a new interpreter prints for ``code``."""
    environment = {**os.environ, "PYTHONPATH": str(Path(nl.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names_are_these() -> None:
    assert set(nl.__all__) == NAMES
    assert set(dir(nl)) >= NAMES | ROOMS | {"__version__", "conv2d", "linear", "relu", "flatten"}


def test_every_submodule_imports_and_every_public_name_is_still_itself() -> None:
    """A submodule called as a public name would take its place the moment it is imported."""
    for name in submodules():
        importlib.import_module(name)
    for name in sorted(NAMES):
        assert not isinstance(getattr(nl, name), ModuleType), f"netloom.{name} is a module"
    for name in sorted(ROOMS):
        assert isinstance(getattr(nl, name), ModuleType), f"netloom.{name} is no module"
    for name in nl.ops.REGISTRY:
        assert callable(getattr(nl, name)) and not isinstance(getattr(nl, name), ModuleType), f"netloom.{name} is no function"
    assert isinstance(nl.op.relu(), importlib.import_module("netloom.graph.builder").Layer)


def test_public_functions_are_called_after_their_submodules_are_imported() -> None:
    import torch

    for name in submodules():
        importlib.import_module(name)
    x = nl.input(4)
    graph = nl.Graph(x, nl.relu(nl.linear(x, 3) @ nl.parameter(3, 2)))
    network = nl.build(graph, seed=0)
    assert isinstance(network, nl.Network)
    assert nl.trace(network, torch.zeros(2, 4)).hash == graph.hash
    assert all(isinstance(node, nl.Node) for node in graph)
    assert isinstance(graph.nodes[0].shape[0], nl.Size)


def test_no_module_has_an_empty_name() -> None:
    words = {"utils", "helpers", "common", "misc", "base"}
    assert not [name for name in submodules() if words & set(name.split("."))]


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conv9d'"):
        nl.conv9d  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    heavy = "torch sklearn pandas scipy numpy networkx sqlalchemy rich pyarrow"
    code = f"import sys, netloom; print([m for m in {heavy.split()} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_operators_and_graphs_work_without_torch() -> None:
    """Rules, text, JSON and hash are plain Python."""
    code = (
        "import sys, netloom as nl; x = nl.input(3, 8, 8); g = nl.Graph(x, nl.linear(nl.flatten(nl.relu(x)), 2));"
        "nl.Graph.from_json(g.to_json()), nl.Graph.from_text(g.to_text()), g.hash, g.num_params, g.flops;"
        "print('torch' in sys.modules)"
    )
    assert fresh(code) == "False"


def test_importing_is_quick() -> None:
    """Processor seconds of the import alone; the budget on a quiet machine is 0.3 s of wall time."""
    code = "import time; t = time.process_time(); import netloom; print(time.process_time() - t)"
    assert min(float(fresh(code)) for _ in range(3)) < 0.3


def test_help_is_quick_and_loads_no_torch() -> None:
    pytest.importorskip("netloom.cli.main", reason="the command line does not exist yet")
    code = (
        "import sys, time, io, contextlib; t = time.process_time()\n"
        "from netloom.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(time.process_time() - t, 'torch' in sys.modules)"
    )
    runs = [fresh(code).split() for _ in range(3)]
    assert {loaded for _, loaded in runs} == {"False"}
    assert min(float(seconds) for seconds, _ in runs) < 0.3


def test_version_is_that_of_the_changelog() -> None:
    changelog = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
    assert f"## {nl.__version__}" in changelog.read_text()
