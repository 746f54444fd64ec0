"""`proxies` and `proxies_many`: the table of all proxies, and what is given to them."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ...errors import MeasureError, NetloomError
from ..subject import whole_number

if TYPE_CHECKING:
    import pandas

    from ...graph.graph import Graph
    from .signals import Signals

    Proxy = Callable[[Signals], float]

_LOG = logging.getLogger("netloom.measure")
#: Name → the module beside this one that has the function of that name, and whether it needs targets.
_PLACES = {
    "synflow": ("synaptic_flow", False),
    "snip": ("saliency", True),
    "grad_norm": ("saliency", True),
    "jacov": ("separation", False),
    "nwot": ("separation", False),
    "zen": ("gaussian", False),
    "l2_norm": ("saliency", False),
    "fisher": ("saliency", True),
    "grasp": ("saliency", True),
    "plain": ("saliency", True),
    "epe": ("separation", True),
}
#: Name of each proxy → whether it needs targets, in the order in which `proxies` gives them.
PROXIES: Mapping[str, bool] = MappingProxyType({name: needs for name, (_, needs) in _PLACES.items()})
#: Samples of the batch that a task is asked for, as the published tables use.
BATCH_SIZE = 32


def proxies(
    network: Any,
    batch: Any,
    names: Sequence[str] | str | None = None,
    *,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
    batch_size: int = BATCH_SIZE,
) -> dict[str, float]:
    """Zero-cost proxies of a network on one batch, by name, in the order of `PROXIES` or of ``names``.

    ``network`` is a graph (fresh weights from ``seed``), a Network, or another module, which is traced; it comes back as it
    was: weights, buffers, modes and the generator. ``batch`` is ``(x, y)``, ``x`` alone, or a task, from whose train part
    ``batch_size`` samples are drawn; ``x`` is a tensor (N, …), a tuple of arguments or a dict of keywords, ``y`` class indices
    or real values. Networks run in training mode without dropout. ``loss(outputs, y)`` replaces cross-entropy and mean squared
    error.

    A value is nan where the proxy is not defined for the network (nwot without an activation, a loss that no output fits) or
    no number comes out (a network that passes no signal); the logger ``netloom.measure`` says why. Without ``y``, those that
    need it are left out. `MeasureError` for unknown names, for a name that needs targets where there are none, and where the
    network does not run on the batch.

    >>> import torch, netloom as nl
    >>> x = nl.input(8)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 16)), 3))
    >>> batch = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
    >>> found = nl.measure.proxies(graph, batch, ["synflow", "nwot", "l2_norm"])
    >>> {name: round(value, 2) for name, value in found.items()}
    {'synflow': 19.03, 'nwot': 18.25, 'l2_norm': 3.37}
    """
    wanted = _names(names)
    inputs, targets = batch_of(batch, batch_size, seed)
    if targets is None and names is not None:
        lacking = [name for name in wanted if PROXIES[name]]
        if lacking:
            raise MeasureError(f"{', '.join(lacking)} need targets; give the batch as (x, y)")
    if targets is None:
        wanted = [name for name in wanted if not PROXIES[name]]
    return _measured(network, inputs, targets, wanted, seed, loss)


def proxies_many(
    graphs: Iterable[Graph],
    task: Any,
    names: Sequence[str] | str | None = None,
    *,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
    batch_size: int = BATCH_SIZE,
    progress: bool = True,
) -> pandas.DataFrame:
    """The proxies of many networks on the same batch: one row each, a column for each proxy, and ``error``.

    Arguments as for `proxies`. A network that cannot be run has nan in its row and says why in ``error``, which is empty
    otherwise. ``progress`` shows a bar on a terminal.
    """
    import pandas as pd

    from ..progress import bar

    graphs, wanted = list(graphs), _names(names)
    inputs, targets = batch_of(task, batch_size, seed)
    wanted = [name for name in wanted if targets is not None or not PROXIES[name]]
    rows = []
    with bar("measuring networks", len(graphs), show=progress) as advance:
        for graph in graphs:
            try:
                rows.append({**_measured(graph, inputs, targets, wanted, seed, loss), "error": ""})
            except NetloomError as error:
                rows.append({**dict.fromkeys(wanted, math.nan), "error": str(error)})
            advance()
    return pd.DataFrame(rows, columns=[*wanted, "error"])


def batch_of(batch: Any, size: int, seed: int) -> tuple[Any, Any]:
    """Inputs as a tuple or dict of arguments, and targets or None, of what `proxies` takes as a batch."""
    import torch

    part = getattr(batch, "train", batch)
    if hasattr(part, "batches"):
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[: whole_number("batch_size", size)]
        part = next(iter(part.batches(len(order), order=order)))
    x, y = part if isinstance(part, tuple | list) and len(part) == 2 else (part, None)
    if isinstance(x, torch.Tensor):
        x = (x,)
    if not isinstance(x, tuple | list | dict) or not len(x):
        raise MeasureError(f"a batch of {type(x).__name__}; expected (x, y), x, or a task, x being a tensor, a tuple or a dict")
    if y is not None and not isinstance(y, torch.Tensor):
        raise MeasureError(f"targets are a {type(y).__name__}; expected a tensor of class indices or real values")
    return (tuple(x) if isinstance(x, list) else x), y


def _measured(network: Any, inputs: Any, targets: Any, names: list[str], seed: int, loss: Any) -> dict[str, float]:
    from importlib import import_module

    from .signals import Signals, Undefined

    signals = Signals(network, inputs, targets, loss, seed)
    found: dict[str, float] = {}
    for name in names:
        proxy: Proxy = getattr(import_module(f"{__package__}.{_PLACES[name][0]}"), name)
        try:
            value = float(proxy(signals))
        except Undefined as reason:
            _LOG.info("%s is not defined: %s", name, reason)
            value = math.nan
        if not math.isfinite(value):
            _LOG.info("%s came out as %s, which is no number to compare by", name, value)
            value = math.nan
        found[name] = value
    return found


def _names(names: Sequence[str] | str | None) -> list[str]:
    wanted = list(PROXIES) if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in PROXIES:
            near = difflib.get_close_matches(str(name), PROXIES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise MeasureError(f"no proxy is called {name!r}{hint}; there is: {', '.join(PROXIES)}")
    return list(dict.fromkeys(wanted))
