"""Recurrent layers: LSTM, GRU and plain ones over a whole sequence, and their cells."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import MODULE, Param, attr, boolean, flag, integer, number, tensor, tensors, weight
from .dims import Axis, Concat, Dims
from .operator import Operator, TensorType, pretty
from .pointwise import require_kind

#: The weights of every layer are listed by name: a document must not ask for names without end.
MAX_LAYERS = 4096
#: Attributes of every layer over a sequence, after the sequence itself.
_ATTRS: tuple[Param, ...] = (
    attr("hidden", integer(1)), attr("num_layers", integer(1, MAX_LAYERS), 1), attr("bias", boolean, True),
    attr("batch_first", boolean, True), attr("dropout", number(0, 1), 0.0), attr("bidirectional", boolean, False),
)  # fmt: skip
_CALL = "weights:params, bias:has_biases, num_layers, dropout, training:train, bidirectional, batch_first"


class Recurrent(Operator):
    """Base of layers over a sequence (N, T, in), or (T, N, in) without ``batch_first``.

    Without a first state it is zeros. ``weights`` lists, layer by layer and direction by direction, input weights, hidden
    weights, their biases and (with ``proj_size``) the projection, named as in torch's modules.
    """

    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"), *_ATTRS, attr("training", flag, MODULE), tensor("h0", None), tensors("weights"),
    )  # fmt: skip
    weight_list = "weights"
    effect = "random"
    gates = 1
    states: tuple[str, ...] = ("h0",)

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if type(call["weights"]) is not tuple or type(call.get("bias")) is not bool:
            return None
        return call | {"hidden": type_of(call["weights"][1]).shape[0] // self.gates}

    def _project(self, a: SimpleNamespace) -> int:
        return int(getattr(a, "proj_size", 0))

    def roles(self, a: SimpleNamespace) -> tuple[str, ...]:
        found = []
        for suffix in self._suffixes(a):
            found += [f"weight_ih_{suffix}", f"weight_hh_{suffix}"]
            if a.bias:
                found += [f"bias_ih_{suffix}", f"bias_hh_{suffix}"]
            if self._project(a):
                found.append(f"weight_hr_{suffix}")
        return tuple(found)

    def _suffixes(self, a: SimpleNamespace) -> list[str]:
        directions = ("", "_reverse") if a.bidirectional else ("",)
        return [f"l{layer}{direction}" for layer in range(a.num_layers) for direction in directions]

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        if a.x.rank != 3:
            raise ShapeError(f"a sequence has three axes, not {pretty(a.x.shape)}; add the one that is missing")
        ways = 2 if a.bidirectional else 1
        out = self._project(a) or a.hidden
        found = {}
        for i, suffix in enumerate(self._suffixes(a)):
            features = a.x.shape[2] if i < ways else ways * out
            found[f"weight_ih_{suffix}"] = TensorType(a.x.dtype, (self.gates * a.hidden, features))
            found[f"weight_hh_{suffix}"] = TensorType(a.x.dtype, (self.gates * a.hidden, out))
            for role in ("bias_ih", "bias_hh"):
                found[f"{role}_{suffix}"] = TensorType(a.x.dtype, (self.gates * a.hidden,))
            found[f"weight_hr_{suffix}"] = TensorType(a.x.dtype, (out, a.hidden))
        return {role: found[role] for role in self.roles(a)}

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("uniform", -(a.hidden**-0.5), a.hidden**-0.5)

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dropout": float(a.dropout)}

    # -- shapes ------------------------------------------------------------------------------------------------------
    def _state_shape(self, a: SimpleNamespace, state: str) -> tuple[Any, ...]:
        count = a.num_layers * (2 if a.bidirectional else 1)
        size = self._project(a) if self._project(a) and state == "h0" else a.hidden
        return (count, a.x.shape[0 if a.batch_first else 1], size)

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        require_kind(a.x.dtype, "f", "x")
        if a.x.shape[1 if a.batch_first else 0] == 0:
            raise ShapeError(f"the sequence {pretty(a.x.shape)} has no steps")
        if any(t.dtype != a.x.dtype for t in a.weights):
            raise ShapeError(f"weights of {a.weights[0].dtype} do not go with a sequence of {a.x.dtype}; convert one of them")
        for state in self.states:
            given, wanted = getattr(a, state), self._state_shape(a, state)
            if given is not None and given != TensorType(a.x.dtype, wanted):
                raise ShapeError(f"{state} is {given}; expected {a.x.dtype} of {pretty(wanted)}")
        width = (self._project(a) or a.hidden) * (2 if a.bidirectional else 1)
        last = tuple(TensorType(a.x.dtype, self._state_shape(a, state)) for state in self.states)
        return TensorType(a.x.dtype, (*a.x.shape[:2], width)), *last

    def template(self, a: SimpleNamespace) -> str:
        given = [self._given_state(a, state) for state in self.states]
        state = given[0] if len(given) == 1 else f"[{', '.join(given)}]"
        rest = "{weights}, {bias}, {num_layers}, {dropout}, {training}, {bidirectional}, {batch_first}"
        return f"torch.{self.name}({{x}}, {state}, {rest})"

    def _given_state(self, a: SimpleNamespace, state: str) -> str:
        if getattr(a, state) is not None:
            return f"{{{state}}}"
        count, _, size = self._state_shape(a, state)
        return f"{{x}}.new_zeros({count}, {{x}}.shape[{0 if a.batch_first else 1}], {size})"

    # -- dimensions and cost -----------------------------------------------------------------------------------------
    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        ways = 2 if a.bidirectional else 1
        out = "p" if self._project(a) else "h"
        wide: Axis = Concat((out, out)) if ways == 2 else out
        gates: Axis = Concat(("h",) * self.gates) if self.gates > 1 else "h"
        rows: list[tuple[Axis, ...]] = []
        for role in self.roles(a):
            first = role.endswith(("_l0", "_l0_reverse"))
            kind = role.partition("_l")[0]
            rows.append({
                "weight_ih": (gates, "i" if first else wide), "weight_hh": (gates, out),
                "bias_ih": (gates,), "bias_hh": (gates,), "weight_hr": (out, "h"),
            }[kind])  # fmt: skip
        lead = ("b", "t") if a.batch_first else ("t", "b")
        operands: dict[str, Any] = {"x": (*lead, "i"), "weights": tuple(rows)}
        last = []
        for state in self.states:
            last.append(("layers", "b", out if state == "h0" else "h"))
            if getattr(a, state) is not None:
                operands[state] = last[-1]
        attrs = {"hidden": "h"} | ({"proj_size": "p"} if self._project(a) else {})
        columns = frozenset(
            (role, 1) for role, row in zip(self.roles(a), rows) if role.startswith("weight") and "i" not in row
        )
        fixed = frozenset({"layers"})
        below = {"p": "h"} if self._project(a) else {}
        return Dims(operands, ((*lead, wide), *last), attrs, fixed, coupled={"t": "other"}, summed=columns, below=below)

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        # A unit that nothing moves stays at zero; what is projected is zero where the projection is.
        if label == "p":
            return tuple(role for role in self.roles(a) if role.startswith("weight_hr"))
        rows = (role for role in self.roles(a) if not role.startswith("weight_hr"))
        return (*rows, *(state for state in self.states if label == "h" and not (state == "h0" and self._project(a))))

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        """2 per multiply–add of every matrix product, over all steps."""
        products = sum(t.numel for t in a.weights if t.rank == 2)
        return 2 * products * a.x.shape[0] * a.x.shape[1]


class LSTM(Recurrent):
    """Long short-term memory: (N, T, in) → (N, T, out), last h and last c. Hochreiter and Schmidhuber 1997.

    >>> import netloom as nl
    >>> y, h, c = nl.lstm(nl.input(7, 16), 64, num_layers=2)
    >>> y.shape, h.shape
    ((Size('N'), 7, 64), (2, Size('N'), 64))
    """

    name = "lstm"
    params = (
        tensor("x"), *_ATTRS, attr("proj_size", integer(0), 0), attr("training", flag, MODULE),
        tensor("h0", None), tensor("c0", None), tensors("weights"),
    )  # fmt: skip
    calls = {"torch.lstm": f"x:input, hx, {_CALL}"}
    gates = 4
    states = ("h0", "c0")

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        state = call.pop("hx")
        made = super().from_call(call, type_of)
        if made is None or type(state) is not tuple or len(state) != 2:
            return None
        recurrent = type_of(made["weights"][1]).shape
        project = 0 if recurrent[1] == made["hidden"] else recurrent[1]
        return made | {"h0": state[0], "c0": state[1], "proj_size": project}

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        if a.proj_size >= a.hidden:
            raise ShapeError(f"proj_size {a.proj_size} must be less than the hidden size {a.hidden}")
        return super().infer(a)


class GRU(Recurrent):
    """Gated recurrent unit: (N, T, in) → (N, T, out) and the last state. Cho et al. 2014."""

    name = "gru"
    calls = {"torch.gru": f"x:input, h0:hx, {_CALL}"}
    gates = 3


class RNNTanh(Recurrent):
    """Elman layer with tanh: (N, T, in) → (N, T, out) and the last state."""

    name = "rnn_tanh"
    calls = {"torch.rnn_tanh": f"x:input, h0:hx, {_CALL}"}


class RNNRelu(Recurrent):
    """Elman layer with ReLU: (N, T, in) → (N, T, out) and the last state."""

    name = "rnn_relu"
    calls = {"torch.rnn_relu": f"x:input, h0:hx, {_CALL}"}


# -- one step --------------------------------------------------------------------------------------------------------------
class Cell(Operator):
    """Base of one step of a recurrent layer: x (N, in) and the state (N, hidden) → the next state."""

    params: ClassVar[tuple[Param, ...]] = (
        tensor("x"), attr("hidden", integer(1)), tensor("h", None),
        weight("weight_ih"), weight("weight_hh"), weight("bias_ih", optional=True), weight("bias_hh", optional=True),
    )  # fmt: skip
    gates = 1
    states: tuple[str, ...] = ("h",)

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        shape = type_of(call["weight_ih"]).shape
        return call | {"hidden": shape[0] // self.gates} if len(shape) == 2 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        if a.x.rank != 2:
            raise ShapeError(f"x is {a.x} where one step takes (N, features); add or drop an axis")
        rows = self.gates * a.hidden
        types = {"weight_ih": (rows, a.x.shape[1]), "weight_hh": (rows, a.hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
        return {role: TensorType(a.x.dtype, shape) for role, shape in types.items()}

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("uniform", -(a.hidden**-0.5), a.hidden**-0.5)

    def infer(self, a: SimpleNamespace) -> Any:
        require_kind(a.x.dtype, "f", "x")
        for role, wanted in self.weights(a).items():
            given = getattr(a, role)
            if given is not None and given != wanted:
                raise ShapeError(f"{role} is {given}; expected {wanted}")
        if (a.bias_ih is None) != (a.bias_hh is None):
            raise ShapeError("bias_ih and bias_hh go together; give both or neither")
        state = TensorType(a.x.dtype, (a.x.shape[0], a.hidden))
        for name in self.states:
            given = getattr(a, name)
            if given is not None and given != state:
                raise ShapeError(f"{name} is {given}; expected {state}")
        return state if len(self.states) == 1 else (state,) * len(self.states)

    def template(self, a: SimpleNamespace) -> str:
        given = [
            f"{{{s}}}" if getattr(a, s) is not None else f"{{x}}.new_zeros({{x}}.shape[0], {a.hidden})" for s in self.states
        ]
        state = given[0] if len(given) == 1 else f"[{', '.join(given)}]"
        return f"torch.{self.name}({{x}}, {state}, {{weight_ih}}, {{weight_hh}}, {{bias_ih}}, {{bias_hh}})"

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        gates: Axis = Concat(("h",) * self.gates) if self.gates > 1 else "h"
        rows: dict[str, tuple[Axis, ...]] = {
            "x": ("b", "i"), **dict.fromkeys(self.states, ("b", "h")),
            "weight_ih": (gates, "i"), "weight_hh": (gates, "h"), "bias_ih": (gates,), "bias_hh": (gates,),
        }  # fmt: skip
        operands = {name: row for name, row in rows.items() if getattr(a, name) is not None}
        return Dims(operands, (("b", "h"),) * len(outputs), attrs={"hidden": "h"}, summed=frozenset({("weight_hh", 1)}))

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *self.states)

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        return 2 * a.x.shape[0] * (a.weight_ih.numel + a.weight_hh.numel)


_CELL = "weight_ih:w_ih, weight_hh:w_hh, bias_ih:b_ih=None, bias_hh:b_hh=None"


class LSTMCell(Cell):
    """One step of an LSTM: → next h and c."""

    name = "lstm_cell"
    params = (*Cell.params[:3], tensor("c", None), *Cell.params[3:])
    calls = {"torch.lstm_cell": f"x:input, hx, {_CELL}"}
    gates = 4
    states = ("h", "c")

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        state = call.pop("hx")
        if type(state) is not tuple or len(state) != 2:
            return None
        return super().from_call(call | {"h": state[0], "c": state[1]}, type_of)


class GRUCell(Cell):
    """One step of a GRU."""

    name = "gru_cell"
    calls = {"torch.gru_cell": f"x:input, h:hx, {_CELL}"}
    gates = 3


class RNNTanhCell(Cell):
    """One step of an Elman layer with tanh."""

    name = "rnn_tanh_cell"
    calls = {"torch.rnn_tanh_cell": f"x:input, h:hx, {_CELL}"}


class RNNReluCell(Cell):
    """One step of an Elman layer with ReLU."""

    name = "rnn_relu_cell"
    calls = {"torch.rnn_relu_cell": f"x:input, h:hx, {_CELL}"}
