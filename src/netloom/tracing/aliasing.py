"""Which value every tensor of a running model holds, through aliases and in-place writes.

Tensors that share storage have one *root*: its value changes with every write. A view remembers the calls that lead to it
from the root; reading it after a write replays them, writing to it undoes them: slice-and-scatter, inverse permutation,
reshape back. In-place code becomes pure that way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from ..errors import TraceError
from ..ops import DType, Edge, Slice
from ..ops.operator import TensorType
from .records import where_in_model
from .state import dtype_name, type_of_tensor

if TYPE_CHECKING:
    from .recorder import Recorder
    from .records import Record


#: Replays of a root that was never written; those of a written one are a dictionary of its own.
_NOTHING: dict[Any, Any] = {}


class Root:
    """The owner of a storage: its present value, and the number of the write that gave it, 0 before the first.

    ``kin`` are the roots of tensors that share its storage in a way that no operator describes (results of opaque calls): a
    write to one leaves the others ``spoiled``, for reading them then would give a stale value. ``leaf`` is the value that
    gradients go to after writes they do not see (under ``no_grad``, through ``.data``); ``plain`` what was written then.
    """

    __slots__ = ("edge", "version", "writes", "key", "replayed", "grad", "kin", "spoiled", "leaf", "plain")

    def __init__(self, edge: Any, key: str = "") -> None:
        self.edge, self.version, self.writes, self.key, self.grad = edge, 0, 0, key, True
        self.replayed: dict[tuple[Any, ...], Edge] = _NOTHING
        self.kin: list[Root] = []
        self.spoiled = ""
        self.leaf: Any = None
        self.plain: Any = None

    def share(self, other: Root) -> None:
        """Note that another root lies in the same storage."""
        family = [other, *other.kin]
        for member in family:
            member.kin.append(self)
        self.kin += family

    def written(self) -> None:
        """A new version; a number that a write had which was taken back is not used again."""
        self.writes += 1
        self.version = self.writes

    def spoil_kin(self) -> None:
        for other in self.kin:
            other.written()
            other.spoiled = where_in_model()


class Look:
    """dtype, shape and strides of a tensor; made by `looks`, so that equal ones are one object (and quick to compare)."""

    __slots__ = ("type", "strides")

    def __init__(self, kind: TensorType, strides: tuple[int, ...]) -> None:
        self.type, self.strides = kind, strides


@lru_cache(maxsize=100_000)
def looks(kind: TensorType, strides: tuple[int, ...]) -> Look:
    """The one `Look` of this type with these strides."""
    return Look(kind, strides)


class Handle:
    """What is known about one tensor object: its root, the views that lead to it, and its value as of a version."""

    __slots__ = ("tensor", "root", "path", "edge", "version", "key", "known")

    def __init__(self, tensor: Any, root: Root, path: tuple[tuple[int, int], ...], edge: Any, key: str = "") -> None:
        self.tensor, self.root, self.path, self.edge, self.key = tensor, root, path, edge, key
        self.version = root.version
        self.known: Look | None = None

    def look(self) -> Look:
        """What the tensor looks like; looked up once, until a call in place may have changed it."""
        if self.known is None:
            tensor = self.tensor
            self.known = looks(TensorType(dtype_name(tensor.dtype), tuple(tensor.shape)), tensor.stride())
        return self.known

    @property
    def type(self) -> TensorType:
        return self.look().type

    @property
    def is_own(self) -> bool:
        """Whether it is a parameter or buffer of the model that nothing has written to."""
        return bool(self.key) and self.root.version == 0


class Aliases:
    """All handles of one trace, by the identity of the tensor object."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.handles: dict[int, Handle] = {}
        self.roots: dict[str, Root] = {}
        self.keep: list[Any] = []

    # -- making handles ------------------------------------------------------------------------------------------------
    def entry(self, tensor: Any, key: str) -> None:
        """A parameter or buffer of the model."""
        root = self.roots.setdefault(key, Root(None, key))
        self.handles[id(tensor)] = Handle(tensor, root, (), None, key)

    def fresh(self, tensor: Any, edge: Edge, look: Look | None = None) -> None:
        """A result with storage of its own."""
        handle = self.handles[id(tensor)] = Handle(tensor, Root(edge), (), edge)
        handle.known = look

    def view_of(self, source: Handle, tensor: Any, number: int, index: int) -> None:
        """A result that shares the storage of ``source``: output ``index`` of record ``number``."""
        edge = Edge(number, index)  # type: ignore[arg-type]
        self.handles[id(tensor)] = Handle(tensor, source.root, (*source.path, (number, index)), edge)

    def is_view(self, tensor: Any, source: Any) -> bool:
        """Whether two tensor objects share one storage."""
        return source is not tensor and bool(tensor.untyped_storage()._cdata == source.untyped_storage()._cdata)

    def handle(self, tensor: Any) -> Handle | None:
        return self.handles.get(id(tensor))

    def root_of_key(self, key: str) -> Root | None:
        return self.roots.get(key)

    def forget_write(self, key: str) -> None:
        """Take back the write to a buffer: the call that follows makes it itself."""
        root = self.roots[key]
        if root.version:
            self.recorder.forget_last(root.edge)
            self.settled(root)

    def settled(self, root: Root) -> None:
        """From here on a buffer holds what it was last given: its tensor is its value, as before any write."""
        root.edge, root.version, root.replayed, root.leaf, root.plain = None, 0, _NOTHING, None, None

    # -- reading -------------------------------------------------------------------------------------------------------
    def is_written(self, handle: Handle) -> bool:
        return handle.root.version > 0

    def root_edge(self, root: Root) -> Edge:
        if root.spoiled:
            raise TraceError(
                "a tensor is read after its memory was changed through another one, which a call gave that tracing knows only "
                f"as a whole ({root.spoiled}); write to a clone, or index with numbers in place of tensors"
            )
        if root.edge is None:
            return self.recorder.parameter(root.key)
        return root.edge  # type: ignore[no-any-return]

    def read(self, handle: Handle) -> Edge:
        """The edge of the value that a tensor holds now."""
        root = handle.root
        if handle.version == root.version and handle.edge is not None and not root.spoiled:
            return handle.edge  # type: ignore[no-any-return]
        edge = self.root_edge(root)
        for end in range(1, len(handle.path) + 1):
            edge = self._replay(root, handle.path[:end], edge)
        if root.edge is not None or handle.path:
            handle.edge, handle.version = edge, root.version
        return edge

    def _replay(self, root: Root, path: tuple[tuple[int, int], ...], source: Edge) -> Edge:
        """One view of a path, taken of the root's present value."""
        key = (root.version, path)
        found = root.replayed.get(key)
        if found is None:
            number, index = path[-1]
            record = self.recorder.records[number]
            first = next(name for name, value in record.args.items() if type(value) is Edge)
            if record.args[first] == source:
                return Edge(number, index)  # type: ignore[arg-type]
            again = self.recorder.add(record.op, {**record.args, first: source}, record.types)
            again.scope = record.scope
            if root.replayed is _NOTHING:
                root.replayed = {}
            for other in range(len(record.types)):
                root.replayed[(root.version, (*path[:-1], (number, other)))] = Edge(again.number, other)  # type: ignore[arg-type]
            found = root.replayed[key]
        return found

    # -- writing -------------------------------------------------------------------------------------------------------
    def write(self, tensor: Any, value: Edge, unseen: bool = False) -> None:
        """``tensor`` now holds ``value`` (broadcast and cast to its type), and so does all that shares its storage.

        ``unseen``: gradients do not see the write, as under ``no_grad`` and through ``.data``.
        """
        handle = self.handles.get(id(tensor))
        if handle is None:
            return
        handle.known = None
        recorder = self.recorder
        value = self._fitted(value, type_of_tensor(tensor))
        root = handle.root
        sources = [self.root_edge(root)]
        for end in range(1, len(handle.path)):
            sources.append(self._replay(root, handle.path[:end], sources[-1]))
        result = value
        for (number, index), source in zip(reversed(handle.path), reversed(sources)):
            result = self._undo(recorder.records[number], index, source, result)
        unseen = unseen or not torch.is_grad_enabled() or any(recorder.records[n].op == "detach" for n, _ in handle.path)
        root.plain = result
        root.edge = self._with_old_gradient(root, sources[0], result) if unseen else result
        root.leaf = root.leaf if unseen else None
        root.written()
        root.spoil_kin()
        root.grad = bool(recorder.records[value.node].grad) and not unseen  # type: ignore[call-overload]
        root.replayed = {}
        if root.edge == result:
            root.replayed = {(root.version, handle.path): value} if handle.path else {}
            handle.edge, handle.version = value, root.version

    def _with_old_gradient(self, root: Root, old: Edge, new: Edge) -> Edge:
        """``new``, with the gradient of what a tensor held before a write that gradients do not see.

        new - (old.detach() - old): to the bit the new value, for what is subtracted is +0.0 (where the old value is finite),
        and its gradient is the old value's.
        """
        if root.leaf is None:
            if not self.recorder.gradients.reach(old):
                return new
            root.leaf = old
        with torch.set_grad_enabled(True):
            still = self.recorder.emit("detach", x=root.leaf)
            return self.recorder.emit("sub", x=new, y=self.recorder.emit("sub", x=still, y=root.leaf))

    def _fitted(self, value: Edge, target: TensorType) -> Edge:
        have = self.recorder.type_of(value)
        assert have is not None
        if have.shape != target.shape:
            value = self.recorder.emit("expand", x=value, shape=target.shape)
        if have.dtype != target.dtype:
            value = self.recorder.emit("to", x=value, dtype=DType(target.dtype))
        return value

    def _undo(self, record: Record, index: int, source: Edge, value: Edge) -> Edge:
        """The value before a view, given the value after it: what a write through the view leaves in its source."""
        emit, args = self.recorder.emit, record.args
        before = self.recorder.type_of(source)
        assert before is not None
        rank = len(before.shape)
        op = record.op
        if op in ("reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"):
            return emit("reshape", x=value, shape=before.shape)
        if op in ("detach", "alias", "contiguous"):
            return value
        if op == "permute":
            order = args["dims"]
            return emit("permute", x=value, dims=tuple(order.index(i) for i in range(rank)))
        if op == "transpose":
            return emit("transpose", x=value, **{k: v for k, v in args.items() if type(v) is int})
        if op == "expand" and record.types[0].shape == before.shape:
            return value
        if op == "diagonal":
            places = {name: args[name] for name in ("offset", "dim1", "dim2")}
            return emit("diagonal_scatter", x=source, value=value, **places)
        position = self._position(record, index, before)
        if position is None:
            raise TraceError(f"a write through a {op} view is not supported; write to a copy, or index the tensor itself")
        return emit("setitem", x=source, index=position, value=value)

    def _position(self, record: Record, index: int, before: TensorType) -> tuple[Any, ...] | None:
        """Where a view's elements lie in its source, as an index."""
        args, op = record.args, record.op
        if op == "getitem":
            return tuple(args["index"])
        if op == "unbind":
            return (*[Slice()] * args["dim"], index)
        if op == "select":
            return (*[Slice()] * args["dim"], args["index"])
        if op == "narrow":
            return (*[Slice()] * args["dim"], Slice(args["start"], args["start"] + args["length"]))
        if op in ("split", "chunk", "tensor_split"):
            dim = args["dim"]
            start = sum(t.shape[dim] for t in record.types[:index])
            return (*[Slice()] * dim, Slice(start, start + record.types[index].shape[dim]))
        return None
