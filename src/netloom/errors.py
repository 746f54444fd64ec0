"""Every error netloom raises on purpose, so that callers can catch by meaning.

A message names the thing, the value, what was expected and the mend:
``conv2d 'stem': kernel 7 exceeds the input 5×5; use padding ≥ 1 or a smaller kernel``.
"""

from __future__ import annotations

#: Characters of a line that an error quotes.
_WINDOW = 120


class NetloomError(Exception):
    """Base of all errors that netloom raises on purpose."""


class NetloomWarning(UserWarning):
    """What netloom did otherwise than it was asked to, and why."""


class AttributeValueError(NetloomError, ValueError):
    """An operator's attribute is missing, unknown, of the wrong type, or out of range."""


class ShapeError(NetloomError, ValueError):
    """Operands whose shapes or dtypes do not fit the operator."""


class GraphError(NetloomError, ValueError):
    """A graph that breaks an invariant: cycle, dangling or duplicate name, no output."""


class UnknownOperatorError(NetloomError, LookupError):
    """The name of an operator that is not registered."""


class FormatError(NetloomError, ValueError):
    """Text, JSON or a file that is not what it should be."""


class TextError(FormatError):
    """The textual notation does not parse; carries ``line`` and ``column`` (1-based)."""

    def __init__(self, message: str, line: int = 0, column: int = 0, source: str = "") -> None:
        self.line, self.column, self.source = line, column, source
        where = f"line {line}, column {column}: " if line else ""
        # A window around the column: a line may have millions of characters.
        start = max(0, column - 1 - _WINDOW // 2) if len(source) > _WINDOW else 0
        shown = "".join(c if c.isprintable() else " " for c in source[start : start + _WINDOW])
        quote = f"\n  {shown}\n  {' ' * (column - 1 - start)}^" if source and column else ""
        super().__init__(f"{where}{message}{quote}")


class VersionError(FormatError):
    """A document written by a version of the format that this netloom does not read."""


class TraceError(NetloomError, RuntimeError):
    """A model that cannot be traced; the message quotes the line of the model in the way."""


class BuildError(NetloomError, RuntimeError):
    """A graph that cannot be built, or weights that do not fit it."""


class UntrustedError(BuildError):
    """A graph read from data asks to call a function that nobody allowed."""


class MeasureError(NetloomError, ValueError):
    """What cannot be measured: no network, inputs that do not fit it, or a quantity that is not defined for it."""


class TaskError(NetloomError, ValueError):
    """A task that cannot be loaded, or data that do not fit it."""


class DownloadError(TaskError):
    """Data that cannot be fetched, or are not what they should be; the message says where to get them by hand."""


class SpaceError(NetloomError, ValueError):
    """A space whose settings admit no network, or a graph it does not contain."""


class EditError(NetloomError, ValueError):
    """An edit that a network does not admit: an unknown or frozen size, nothing left, a cycle."""


class TrainingError(NetloomError, RuntimeError):
    """A recipe or a network that cannot be trained."""


class StoreError(NetloomError, RuntimeError):
    """A store that cannot be opened, read or written."""


class ClaimLostError(StoreError):
    """A result under a claim that another worker has taken over since; it was not stored."""


class ZooError(NetloomError, ValueError):
    """A zoo that cannot be made, opened or read, or is not whole."""


class SearchError(NetloomError, ValueError):
    """A search whose settings make no sense, refused before any work starts."""


class PredictorError(NetloomError, ValueError):
    """Labels that nothing can be learned from, graphs that a predictor does not know, or a file that is no predictor."""


class GeneratorError(NetloomError, ValueError):
    """Networks that a generator cannot learn from, wishes that it cannot meet, or a file that is none."""


class NetformerError(NetloomError, ValueError):
    """Networks outside the family of a Netformer, settings that make no sense, or a file that is none."""


class HypernetworkError(NetloomError, ValueError):
    """Settings that no hypernetwork has, a file that is none, or a network that it cannot serve."""
