"""`write_back`: the result of an edit in the user's own model, where its code allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...building.network import Network, build, full_state
from ...errors import EditError
from ...graph.graph import Graph
from ...tracing.state import held
from ..subject import refuse_in_backward
from .attributes import Place, Sizes, names_a_size, own_ints, owner
from .config import Configuration
from .draft import Draft
from .modules import fitted
from .search import Search
from .structure import has_new_structure, restructure
from .verifying import Verifier


def write_back(
    model: torch.nn.Module,
    old: Graph,
    new: Graph,
    state: Mapping[str, torch.Tensor],
    example_inputs: Any,
    free: Mapping[str, Any] | None = None,
) -> None:
    """Change ``model`` in place into the network of ``new`` with the tensors ``state``.

    ``old`` is ``nl.trace(model, example_inputs)``, and ``new`` what edits made of it. The model stays the same object of the
    same class; its parameters stay the same objects with new data (their gradients go where shapes change); attributes that
    hold sizes change. Everything is tried on a copy: the model is changed only when the copy runs, traces to the graph ``new``
    and gives the outputs of ``nl.build(new, weights=state)`` bit for bit. Otherwise `EditError` names the line and the literal
    in the way, and the model is as it was.

    >>> import torch, netloom as nl
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> graph = nl.trace(model, torch.randn(3, 4))
    >>> smaller, left = nl.mutate.shrink(graph, {"0": [0, 3, 5]})
    >>> write_back(model, graph, smaller, nl.mutate.gather(model.state_dict(), left), torch.randn(3, 4))
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    if not isinstance(model, torch.nn.Module):
        raise EditError(f"model is a {type(model).__name__}; expected the torch.nn.Module that was traced")
    refuse_in_backward()
    _refuse_another(model, old)
    if isinstance(model, Network):
        _rebuild(model, new, state)
        return
    sizes = Sizes(old, new)
    draft = Draft(model, old, new, state)
    names = restructure(draft) if has_new_structure(old, new) else {}
    _fit_torch_modules(draft)
    search = Search(draft, Verifier(new, state, example_inputs, free, names), sizes)
    configuration = Configuration(draft, sizes)
    configuration.foresee()
    search.solve()
    for step in (configuration.follow, lambda: draft.set(_unread(draft, sizes))):
        before = step()
        if before and search.check(runs=False) is not None:
            draft.set(before)
    draft.transfer()


def _refuse_another(model: torch.nn.Module, old: Graph) -> None:
    """`EditError` where the model is not the one that was traced."""
    for entry in held(model):
        known = old.tensors.get(entry.key)
        if known is None or known.type.shape != tuple(entry.tensor.shape):
            was = "not there" if known is None else f"{known.type.shape}"
            raise EditError(
                f"{entry.key!r} is {tuple(entry.tensor.shape)}, but was {was} when the model was traced; "
                "edit and write back one and the same model"
            )


def _rebuild(network: Network, new: Graph, state: Mapping[str, torch.Tensor]) -> None:
    """A network has its graph's code: it becomes the network of the new graph."""
    made = build(new, weights={**full_state(network), **state})
    flags = {path: module.training for path, module in network.named_modules()}
    for path, module in made.named_modules():
        module.training = flags.get(path, network.training)
    network.__class__ = type(made)
    network.__dict__.update(made.__dict__)


def _fit_torch_modules(draft: Draft) -> None:
    calls: dict[str, list[Any]] = {}
    for step in draft.new.steps:
        calls.setdefault(owner(step, draft.modules), []).append(step)
    for path, module in draft.modules.items():
        found = fitted(module, path, calls.get(path, []), draft.old, draft.new)
        draft.set({Place(path, (name,)): value for name, value in found.items()})


def _unread(draft: Draft, sizes: Sizes) -> dict[Place, int]:
    """Sizes that the code does not read, where name and surroundings leave no doubt."""
    found = {}
    for path, module in draft.modules.items():
        if type(module).__module__.startswith("torch.nn.modules.") or not sizes.touches(path):
            continue
        for chain, value in own_ints(module):
            place = Place(path, chain)
            if len(chain) == 1 and place not in draft.values and names_a_size(place):
                size = sizes.unread(place, value)
                if size is not None and size != value:
                    found[place] = size
    return found
