"""``netloom edit``."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EditError, FormatError
from .networks import load_edited
from .output import refuse_unwritable, writer

if TYPE_CHECKING:
    from ..mutate import Edit


def run(given: argparse.Namespace) -> int:
    """Explain the sizes of a network, or edit it: print the plan, and write what is asked for."""
    from ..mutate import Plan, edit

    model, inputs = load_edited(given.network, given.input, given.graph)
    options = {"value": given.value, "new": given.new, "seed": given.seed, "relax": given.relax, "io": given.io}
    session = edit(model, inputs, **options)
    if given.explain is not None:
        _explain(session, given.explain, given.out)
        return 0
    if given.plan is not None:
        plan = Plan.from_json(_read(given.plan))
        if plan.before.hash != session.graph.hash:
            raise EditError(f"the plan {given.plan!r} was made for another network than {given.network!r}: their hashes differ")
        session.adopt(plan)
    for action, text in given.edits or ():
        _ACTIONS[action](session, text)
    if not session.plan.stages:
        raise EditError("no edit was asked for; see netloom edit --help, or --explain for what may change")
    print(session.plan)
    _write(session, given)
    return 0


def _explain(session: Edit, name: str, out: str | None) -> None:
    dims = session.dims()
    if out is not None and Path(out).suffix.lower() in (".svg", ".png", ".html"):
        dims.draw(out)
        return
    with writer(out) as write:
        write(str(dims) if not name else session.dims(name))


def _write(session: Edit, given: argparse.Namespace) -> None:
    if given.save_plan is not None:
        with writer(given.save_plan) as write:
            write(session.plan.to_json())
    if given.out is not None:
        save_edited(given.out, session.graph, lambda: session.result)
    if given.draw is not None:
        from ..graph.difference import diff

        diff(session.plan.before, session.graph).draw(given.draw, title=f"{given.network}, before and after")


def save_edited(path: str, graph: Any, network: Callable[[], Any]) -> None:
    """Write a network (.safetensors) or its graph (.json, .txt, .nl), by the suffix of the file."""
    suffix = Path(path).suffix.lower()
    if suffix == ".safetensors":
        refuse_unwritable(path)
        network().save(path)
    elif suffix in (".json", ".txt", ".nl"):
        with writer(path) as write:
            write(graph.to_json() if suffix == ".json" else graph.to_text().removesuffix("\n"))
    else:
        raise FormatError(f"-o {path!r}: expected a file that ends in .safetensors, .json, .txt or .nl")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read the plan {path!r}: {error}") from None


# -- what people write ---------------------------------------------------------------------------------------------------
def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, rest = text.partition("=")
    if not equals or not name or not rest:
        raise EditError(f"{text!r} is not of the form {form}")
    return name, rest


def _whole(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise EditError(f"{text!r} of {what} is no whole number") from None


def _resize(session: Edit, text: str) -> None:
    name, size = _pair(text, "NODE=+4, NODE=-4 or NODE=48")
    if size[0] in "+-":
        session[name].resize(out=_whole(size, text))
    else:
        session[name].resize(out_to=_whole(size, text))


def _drop(session: Edit, text: str) -> None:
    name, indices = _pair(text, "NODE=0,3,5-7")
    found: list[int] = []
    for part in indices.split(","):
        low, dash, high = part.partition("-")
        found += range(_whole(low, text), _whole(high if dash else low, text) + 1)
    session[name].drop(found)


def _insert(session: Edit, text: str) -> None:
    name, layers = _pair(text, "NODE=LAYER or NODE=LAYER|LAYER")
    session.insert_after(name, parsed_layers(layers))


def _replace(session: Edit, text: str) -> None:
    name, layers = _pair(text, "NODE=LAYER")
    session.replace(name, parsed_layers(layers))


def _edge(text: str) -> tuple[str, str]:
    source, arrow, target = text.partition(":")
    if not arrow:
        raise EditError(f"{text!r} is not of the form SOURCE:TARGET")
    return source, target


def _kernel(session: Edit, text: str) -> None:
    name, size = _pair(text, "NODE=5 or NODE=5x3")
    sizes = tuple(_whole(part, text) for part in size.split("x"))
    session.change(name, kernel=sizes[0] if len(sizes) == 1 else sizes)


_ACTIONS: dict[str, Callable[[Any, str], Any]] = {
    "resize": _resize,
    "drop": _drop,
    "remove": lambda session, text: session.remove(*text.split(",")),
    "insert_after": _insert,
    "replace": _replace,
    "connect": lambda session, text: session.connect(*_edge(text)),
    "disconnect": lambda session, text: session.disconnect(*_edge(text)),
    "kernel": _kernel,
}


def parsed_layers(text: str) -> Sequence[Any]:
    """``conv2d(16, kernel=3, padding=1)|relu`` as layers; nothing is executed, arguments are plain values."""
    from ..graph.builder import op

    found = []
    for part in text.split("|"):
        try:
            tree = ast.parse(part.strip(), mode="eval").body
            call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
            if not isinstance(call.func, ast.Name) or any(keyword.arg is None for keyword in call.keywords):
                raise ValueError("a layer is written NAME or NAME(SETTINGS)")
            positional = [ast.literal_eval(value) for value in call.args]
            keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        except (SyntaxError, ValueError) as error:
            raise EditError(f"{part.strip()!r} is no layer ({error}); write, say, conv2d(16, kernel=3, padding=1)") from None
        found.append(getattr(op, call.func.id)(*positional, **keywords))
    return found
