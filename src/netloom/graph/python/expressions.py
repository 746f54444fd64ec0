"""The source of one call that is no module: as an engineer writes it where that is known, else the operator's own template.

Every expression comes with the strength of its binding, so that brackets are written only where they are needed.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable
from typing import Any

from ...errors import BuildError
from ...ops import MODULE, DType, Edge, Operator, Size, Slice, Weight, operator
from ...ops.arguments import REQUIRED
from ..graph import Graph, Step
from ..trusted import GRADIENT, function_named
from .literals import constant, importable, signature_of
from .naming import quoted
from .slots import Slots, plain, slice_mark

#: How strongly an expression binds: comparison, sum, product, sign, power, call.
COMPARE, SUM, PRODUCT, UNARY, POWER, CALL = range(6)
_FIELD = re.compile(r"\{(\w+)\}")

#: Operators written as Python's own, for operands of which the first is a tensor.
_BINARY = {
    "mul": ("*", PRODUCT), "matmul": ("@", PRODUCT), "eq": ("==", COMPARE), "ne": ("!=", COMPARE), "lt": ("<", COMPARE),
    "le": ("<=", COMPARE), "gt": (">", COMPARE), "ge": (">=", COMPARE),
}  # fmt: skip
#: Operators written as a method, with the arguments that follow (``*name``: its parts; ``=``: by keyword).
_METHODS = {
    "permute": "permute *dims", "transpose": "transpose dim0 dim1", "unsqueeze": "unsqueeze dim",
    "expand": "expand *shape", "repeat": "repeat *repeats", "contiguous": "contiguous", "clone": "clone", "detach": "detach",
    "masked_fill": "masked_fill mask value", "cumsum": "cumsum =dim", "flip": "flip *dims",
    "pow": "pow y", "unflatten": "unflatten dim sizes", "rsqrt": "rsqrt", "roll": "roll shifts dims",
}  # fmt: skip
#: Attributes that a call's weight says already.
_IN_WEIGHT = frozenset({"out", "kernel", "num_embeddings", "features", "num_parameters"})
#: Arguments for which torch takes one number in the place of equal ones.
_WINDOW = frozenset({"kernel", "stride", "padding", "dilation", "output_padding", "output_size"})
#: Arguments that name an axis: the last one is written −1.
_LAST = {"softmax": "dim", "log_softmax": "dim", "cat": "dim", "stack": "dim", "split": "dim", "cumsum": "dim"}


class Writer:
    """Writes the calls of one forward: ``name_of`` gives the expression of an edge or weight and its binding strength."""

    def __init__(self, graph: Graph, slots: Slots, name_of: Callable[[Any], tuple[str, int]]) -> None:
        self.graph, self.slots, self.name_of = graph, slots, name_of
        self.size_of: Callable[[Size, Step], tuple[str, int]] = lambda size, step: ("", CALL)
        self.flag_of: Callable[[str], str] = lambda scope: "self.training"
        self.device: Callable[[], str] = lambda: ""
        #: Step → the list that it joins, where the forward is given one.
        self.bundles: dict[str, str] = {}
        self.functions: dict[str, None] = {}
        self.imports: dict[str, None] = {}
        self.step: Step

    # -- values ------------------------------------------------------------------------------------------------------
    def value(self, value: Any, hint: str = "size", strength: int = COMPARE) -> str:
        """Source of an argument, in brackets where it binds more weakly than ``strength``."""
        if type(value) is Edge or type(value) is Weight:
            text, own = self.name_of(value)
            return text if own >= strength else f"({text})"
        if type(value) is Size:
            text, own = self.size_of(value, self.step)
            return text if own >= strength else f"({text})"
        if type(value) is Slice:
            return f"slice({', '.join(self.value(v) for v in value)})"
        if type(value) is DType or value is None or value is Ellipsis or type(value) is str:
            return constant(value)
        if isinstance(value, tuple | list):
            parts = [self.value(v, hint) for v in value]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if strength > SUM and isinstance(value, int | float) and value < 0:
            return f"({self.slots.add(value, hint)})"
        return self.slots.add(value, hint)

    # -- calls ---------------------------------------------------------------------------------------------------------
    def call(self, step: Step) -> tuple[str, int]:
        """The expression of a step."""
        self.step = step
        if step.op == "opaque":
            return self._opaque(step), CALL
        special = getattr(self, f"_{step.op}", None)
        found = special(step) if special is not None else self._known(step)
        if found:
            return found if isinstance(found, tuple) else (found, CALL)
        return self._plain(step) or self._template(step), CALL

    def _known(self, step: Step) -> tuple[str, int] | str:
        a, op = step.args, step.op
        if op in _BINARY and (type(a["x"]) is Edge or op in ("mul",)):
            sign, strength = _BINARY[op]
            weak = strength + 1 if strength == COMPARE else strength
            left, right = self.value(a["x"], "scale", weak), self.value(a["y"], "scale", strength + 1)
            return f"{left} {sign} {right}", strength
        if op in _METHODS and type(a["x"]) is Edge and self._defaults_elsewhere(step):
            name, *arguments = _METHODS[op].split()
            parts = [self._argument(step, argument) for argument in arguments]
            return f"{self.value(a['x'], strength=CALL)}.{name}({', '.join(parts)})"
        return ""

    def _argument(self, step: Step, argument: str) -> str:
        name = argument.lstrip("*=")
        value = self._axis(step, name)
        if argument[0] == "*":
            parts = [self.value(part) for part in value]
            # Without an argument at all, some methods mean something else.
            return ", ".join(parts) if parts else "()"
        shown = self.value(value, name if name.startswith("dim") else "value")
        return f"{name}={shown}" if argument[0] == "=" else shown

    def _axis(self, step: Step, name: str) -> Any:
        """An argument as people write it: the last axis as −1."""
        value = step.args[name]
        if _LAST.get(step.op) == name and type(value) is int and value > 0:
            rank = self.graph.types(step.name)[0].rank
            return -1 if value == rank - 1 else value
        return value

    def _defaults_elsewhere(self, step: Step) -> bool:
        """Whether every argument that a method's form leaves out has its default."""
        kind = operator(step.op)
        written = {"x", *(argument.lstrip("*=") for argument in _METHODS[step.op].split()[1:])}
        return all(
            value == kind.by_name[name].default and value is not True
            for name, value in step.args.items()
            if name not in written
        )

    # -- those with a form of their own ----------------------------------------------------------------------------------
    def _add(self, step: Step, sign: str = "+") -> tuple[str, int] | str:
        a = step.args
        if a["alpha"] != 1 or isinstance(a["alpha"], bool):
            return ""
        left, right = self.value(a["x"], "offset", SUM), self.value(a["y"], "offset", PRODUCT)
        return f"{left} {sign} {right}", SUM

    def _sub(self, step: Step) -> tuple[str, int] | str:
        return self._add(step, "-")

    def _div(self, step: Step) -> tuple[str, int] | str:
        a = step.args
        if a["rounding_mode"] is not None or type(a["x"]) is not Edge:
            return ""
        return f"{self.value(a['x'], 'scale', PRODUCT)} / {self.value(a['y'], 'scale', UNARY)}", PRODUCT

    def _rdiv(self, step: Step) -> tuple[str, int]:
        a = step.args
        return f"{self.value(a['number'], 'scale', PRODUCT)} / {self.value(a['x'], 'scale', UNARY)}", PRODUCT

    def _neg(self, step: Step) -> tuple[str, int]:
        return f"-{self.value(step.args['x'], strength=POWER)}", UNARY

    def _flatten(self, step: Step) -> str:
        a = step.args
        rank = self.graph.operands(step).x.rank
        end = a["end_dim"]
        rest = "" if end in (-1, rank - 1) else f", {self.value(end, 'dim')}"
        start = "" if not rest and a["start_dim"] == 0 else self.value(a["start_dim"], "dim")
        return f"{self.value(a['x'], strength=CALL)}.flatten({start}{rest})"

    def _squeeze(self, step: Step) -> str:
        dim = step.args["dim"]
        return f"{self.value(step.args['x'], strength=CALL)}.squeeze({self.value(plain(dim) if len(dim) == 1 else dim, 'dim')})"

    def _reshape(self, step: Step) -> str:
        x, shape = self.value(step.args["x"], strength=CALL), step.args["shape"]
        free = [size for size in shape if not isinstance(size, int)]
        if len(free) == 1 and all(size > 0 for size in shape if isinstance(size, int)):
            shown = ["-1" if not isinstance(size, int) else self.value(size) for size in shape]
        else:
            shown = [self.value(size) for size in shape]
        return f"{x}.reshape({', '.join(shown) or '()'})"

    def _filled(self, step: Step) -> str:
        """Tensors made of a shape: its sizes one by one, and no dtype where it is the usual one."""
        a = step.args
        kind = "" if a["dtype"] == DType("float32") else f", dtype={constant(a['dtype'])}"
        sizes = ", ".join(self.value(size) for size in a["shape"]) or "()"
        return f"torch.{step.op}({sizes}{kind}, device={self.device()})"

    _zeros = _ones = _empty = _rand = _randn = _filled

    def _arange(self, step: Step) -> str:
        a = step.args
        whole = all(isinstance(a[name], int | Size) and not isinstance(a[name], bool) for name in ("start", "end", "step"))
        if not whole or a["step"] != 1:
            return ""
        start = "" if a["start"] == 0 else f"{self.value(a['start'])}, "
        kind = "" if a["dtype"] == DType("int64") else f", dtype={constant(a['dtype'])}"
        return f"torch.arange({start}{self.value(a['end'])}{kind}, device={self.device()})"

    def _pad(self, step: Step) -> str:
        a = step.args
        text = f"F.pad({self.value(a['x'])}, {self.value(a['padding'])}"
        if a["mode"] != "constant":
            text += f", mode={constant(a['mode'])}"
        elif a["value"] is not None and (a["value"] != 0 or isinstance(a["value"], bool)):
            text += f", value={self.value(a['value'])}"
        return f"{text})"

    def _to(self, step: Step) -> str:
        a = step.args
        more = "" if a["memory_format"] is None else f", memory_format=torch.{a['memory_format']}"
        return f"{self.value(a['x'], strength=CALL)}.to({constant(a['dtype'])}{more})"

    def _softmax(self, step: Step) -> str:
        a = step.args
        more = "" if a["dtype"] is None else f", dtype={constant(a['dtype'])}"
        head = "softmax" if step.op == "softmax" else "log_softmax"
        return f"F.{head}({self.value(a['x'])}, dim={self.value(self._axis(step, 'dim'), 'dim')}{more})"

    _log_softmax = _softmax

    def _cat(self, step: Step) -> str:
        given = self.bundles.get(step.name)
        shown = given or f"[{', '.join(self.value(edge) for edge in step.args['tensors'])}]"
        return f"torch.{step.op}({shown}, dim={self.value(self._axis(step, 'dim'), 'dim')})"

    _stack = _cat

    def _split(self, step: Step) -> str:
        a = step.args
        sizes, dim = a["sizes"], self.value(self._axis(step, "dim"), "dim")
        equal = len(sizes) > 1 and len(set(sizes)) == 1 and sizes[0] != 0
        if equal:
            return f"{self.value(a['x'], strength=CALL)}.chunk({self.slots.add(len(sizes), 'chunks')}, dim={dim})"
        shown = f"({', '.join(self.value(size) for size in sizes)}{',' if len(sizes) == 1 else ''})"
        tail = "[0]" if len(sizes) == 1 else ""
        return f"{self.value(a['x'], strength=CALL)}.split({shown}, dim={dim}){tail}"

    def _unbind(self, step: Step) -> str:
        tail = "" if len(self.graph.types(step.name)) > 1 else "[0]"
        return f"{self.value(step.args['x'], strength=CALL)}.unbind({self.value(step.args['dim'], 'dim')}){tail}"

    def _reduction(self, step: Step) -> str:
        a = step.args
        if a.get("dtype") is not None or not a["dim"]:
            return ""
        rank = self.graph.operands(step).x.rank
        dims = tuple(dim - rank if dim >= rank - 2 and rank > 2 else dim for dim in a["dim"])
        shown = self.value(dims[0] if len(dims) == 1 else dims, "dim")
        keep = ", keepdim=True" if a["keepdim"] else ""
        return f"{self.value(a['x'], strength=CALL)}.{step.op}(dim={shown}{keep})"

    _mean = _sum = _amax = _amin = _reduction

    def _getitem(self, step: Step) -> str:
        return f"{self.value(step.args['x'], strength=CALL)}[{self.index(step.args['index'])}]"

    def index(self, index: Any) -> str:
        """An index as it stands between square brackets."""
        parts = index if type(index) is tuple else (index,)
        shape = self.graph.operands(self.step).x.shape
        plain_parts = len(parts) == len(shape) and all(type(part) in (Slice, int) for part in parts)
        sizes = shape if plain_parts else (None,) * len(parts)
        shown = [self._place(part, size) for part, size in zip(parts, sizes)]
        whole = next((i for i, text in enumerate(shown) if text != ":"), len(shown))
        if plain_parts and whole >= 2 and whole < len(shown):
            shown = ["...", *shown[whole:]]
        elif plain_parts:
            while len(shown) > 1 and shown[-1] == ":":
                shown.pop()
        return ", ".join(shown) if shown else "()"

    def _place(self, part: Any, size: Any) -> str:
        if type(part) is Slice:
            start = "" if part.start in (None, 0) else self.value(part.start, "index", SUM)
            stop = "" if part.stop is None or part.stop == size else self.value(part.stop, "index", SUM)
            step = "" if part.step in (None, 1) else self.value(part.step, "index", SUM)
            return slice_mark(start, stop, step)
        return self.value(part, "index")

    def _setitem(self, step: Step) -> str:
        self.functions["setitem"] = None
        a = step.args
        index = a["index"]
        parts = index if type(index) is tuple else (index,)
        shown = [self.value(part, "index") for part in parts]
        whole = shown[0] if type(index) is not tuple else f"({', '.join(shown)}{',' if len(parts) == 1 else ''})"
        return f"setitem({self.value(a['x'])}, {whole}, {self.value(a['value'])})"

    def _scaled_dot_product_attention(self, step: Step) -> str:
        a = step.args
        text = ", ".join(self.value(a[name]) for name in ("q", "k", "v"))
        if a["mask"] is not None:
            text += f", attn_mask={self.value(a['mask'])}"
        if a["training"] == MODULE:
            text += f", dropout_p={self.slots.add(a['dropout_p'], 'dropout')} if {self.flag_of(step.scope)} else 0.0"
        elif a["training"] is True and a["dropout_p"]:
            text += f", dropout_p={self.slots.add(a['dropout_p'], 'dropout')}"
        text += ", is_causal=True" if a["is_causal"] else ""
        width = self.graph.operands(step).q.shape[-1]
        known = isinstance(width, int) and width > 0
        if a["scale"] is not None and not (known and a["scale"] == 1 / math.sqrt(width)):
            root = known and a["scale"] == width**-0.5
            shown = f"{self.slots.add(width, 'head_dim')}**-0.5" if root else self.value(a["scale"], "scale")
            text += f", scale={shown}"
        return f"F.scaled_dot_product_attention({text}{', enable_gqa=True' if a['enable_gqa'] else ''})"

    def _by_mode(self, step: Step) -> tuple[str, int]:
        a = step.args
        flag = self.flag_of(step.scope) if a["training"] == MODULE else str(a["training"])
        return f"{self.value(a['train'], strength=SUM)} if {flag} else {self.value(a['eval'], strength=SUM)}", -1

    # -- the rest --------------------------------------------------------------------------------------------------------
    def _plain(self, step: Step) -> str:
        """A torch function by its signature: required arguments by position, others by keyword where they matter."""
        kind = operator(step.op)
        if type(kind).from_call is not Operator.from_call and kind.family not in ("conv", "linear", "pool", "norm"):
            return ""
        template = kind.template(self.graph.operands(step))
        head = template.partition("(")[0]
        signature = kind.calls.get(head) or kind.calls.get(head.replace("F.", "torch.nn.functional."))
        if signature is None or kind.statements(self.graph.operands(step)) or kind.weight_list:
            return ""
        parts: list[str] = []
        slots = signature_of(signature)
        names = {name for name, _, _ in slots}
        if not {n for n in step.args if kind.by_name[n].kind != "attr" and step.args[n] is not None} <= names:
            return ""
        for name, keyword, default in slots:
            if name not in step.args:
                if name in ("inplace", "cudnn_enabled", "cudnn_enable"):
                    continue
                return ""
            value = step.args[name]
            if default is not REQUIRED and self._same(kind, name, value, default):
                continue
            shown = self._flagged(step, name, value)
            parts.append(shown if default is REQUIRED else f"{keyword}={shown}")
        if any(name not in names and name not in _IN_WEIGHT for name in step.args):
            return ""
        return f"{head}({', '.join(parts)})"

    def _flagged(self, step: Step, name: str, value: Any) -> str:
        if name == "training" and value == MODULE:
            return self.flag_of(step.scope)
        if operator(step.op).by_name[name].kind == "tensors":
            return f"[{', '.join(self.value(v) for v in value)}]"
        # One number stands for all sizes of a window, but not for a shape.
        return self.value(plain(value) if type(value) is tuple and name in _WINDOW else value, name)

    def _same(self, kind: Operator, name: str, value: Any, default: Any) -> bool:
        if type(value) in (Edge, Weight) or value is None or default is None:
            return value is None and default is None
        check = kind.by_name[name].check
        try:
            normal = check(default) if check is not None else default
        except (ValueError, TypeError):
            return False
        return type(normal) is type(value) and bool(normal == value)

    def _template(self, step: Step) -> str:
        kind = operator(step.op)
        types = self.graph.operands(step)
        template = kind.template(types)
        # Only what the template asks for is written: the others may have no source here.
        wanted = {name for _, name, _, _ in string.Formatter().parse(template) if name}
        sources = {}
        for name in wanted:
            if name == "device":
                sources[name] = self.device()
            elif name == "training" and step.args.get(name) == MODULE:
                sources[name] = self.flag_of(step.scope)
            elif kind.by_name[name].kind == "tensors":
                sources[name] = f"[{', '.join(self.value(v) for v in step.args[name])}]"
            else:
                sources[name] = self.value(step.args[name], name, CALL if f"{{{name}}}." in template else COMPARE)
        return _FIELD.sub(lambda match: sources[match[1]], template)

    def statements(self, step: Step) -> list[str]:
        """Statements to run before the expression."""
        self.step = step
        kind = operator(step.op)
        found = []
        for template in kind.statements(self.graph.operands(step)):
            found.append(
                _FIELD.sub(
                    lambda match: self._flagged(step, match[1], step.args[match[1]]), template
                )  # fmt: skip
            )
        return found

    def _opaque(self, step: Step) -> str:
        a = step.args
        args = [self.value(value) for value in a["args"]]
        for name, value in a["kwargs"]:
            if not name.isidentifier() or not name.isascii():
                raise BuildError(f"opaque {step.name!r}: {quoted(name)} is no name for a keyword argument")
            args.append(f"{name}={self.value(value, name)}")
        call = f"{self._function(step)}({', '.join(args)})"
        if a["target"] == GRADIENT:
            return f"{call}[0]" if len(self.graph.types(step.name)) == 1 else call
        if len(self.graph.types(step.name)) == 1:
            return call
        self.functions["tensors"] = None
        return f"tensors({call})"

    def _function(self, step: Step) -> str:
        target = str(step.args["target"])
        function = function_named(target)
        holder, _, name = target.rpartition(".")
        if holder in ("torch", "torch._C._nn", "torch.special", "torch.linalg", "torch.fft", "torch.nn.functional"):
            return f"{holder.replace('torch.nn.functional', 'F')}.{name}"
        if target == GRADIENT:
            return "torch.autograd.grad"
        if holder.startswith("torch.ops."):
            return target
        if holder == "Tensor" and name.isidentifier():
            return f"torch.Tensor.{name}"
        module, colon, path = target.partition(":")
        if not (colon and importable(module, path, function)):
            raise BuildError(
                f"node {step.name!r} calls {target!r}, which no other program can import; only functions at the top of a "
                "module can be written as Python"
            )
        self.imports[f"from {module} import {path.partition('.')[0]}"] = None
        return path
