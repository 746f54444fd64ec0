"""The networks of a user's own sampler (`netloom.spaces.from_function`) as sequences of its choices."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import NetloomError, SpaceError
from ...spaces.choices import Choose, Domain, Rejected
from .sequences import Sequences
from .table import SEPARATOR

if TYPE_CHECKING:
    from ...graph.graph import Graph
    from ...spaces.function_space import FunctionSpace

#: Runs of the function that look for its choices; those that have to be rejected in a row before it counts as making nothing.
_RUNS, _MOST_TRIES = 200, 1000
#: Values of one choice that have a token each.
_MOST_VALUES = 512
_MISSING = object()


class ChoiceSequences(Sequences):
    """Sequences for a `netloom.spaces.FunctionSpace`: a token such as ``width0=32`` for each choice, in the function's order.

    The order does not matter to decoding: the last token of a choice counts, choices that a sequence does not make have their
    first value, tokens of choices that the function does not come to are passed over. Where the function rejects what comes
    out, choices are drawn anew, the more the more often it does, by a generator that the sequence seeds. Which choices there
    are is found out by running the function; `SpaceError` where one of them is a float, or has more than 512 values.

    >>> import netloom as nl
    >>> def small(choose):
    ...     x = value = nl.input(16)
    ...     for i in range(choose.integer("depth", 1, 2)):
    ...         value = nl.relu(nl.linear(value, choose(f"width{i}", [16, 32])))
    ...     return nl.Graph(x, nl.linear(value, 10))
    >>> sequences = ChoiceSequences(nl.spaces.from_function(small))
    >>> sequences.vocabulary
    ('depth=1', 'depth=2', 'width0=16', 'width0=32', 'width1=16', 'width1=32')
    >>> sequences.encode(sequences.decode("width0=32 depth=2"))
    ['depth=2', 'width0=32', 'width1=16']
    """

    def __init__(self, space: FunctionSpace) -> None:
        self.space = space
        self._values: dict[str, tuple[str, Any]] = {}
        for name, domain in _explored(space).items():
            possible = domain.possible
            if possible is None or len(possible) > _MOST_VALUES:
                raise SpaceError(
                    f"choice {name!r} of {space.name} is {domain}; a notation needs choices of {_MOST_VALUES} values at most"
                )
            self._values |= {_token(name, value): (name, value) for value in possible}
        self._vocabulary = tuple(self._values)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    def encode(self, graph: Graph) -> list[str]:
        """The tokens of a network that was made here, or of any where all can be gone through; `SpaceError` for others."""
        tokens = [_token(name, value) for name, value in self.space.choices_of(graph).items()]
        for token in tokens:
            if token not in self._values:
                raise SpaceError(f"{token!r} is a choice that {self.space.name} came to in none of {_RUNS} runs")
        return tokens

    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of any sequence of tokens, a member of the space; `FormatError` for what is no token."""
        read = self.tokens(self.numbers(tokens))
        wanted = dict([self._values[token] for token in read])
        return self.space.graph(self._choices(wanted, zlib.crc32(" ".join(read).encode())))

    def _choices(self, wanted: Mapping[str, Any], seed: int) -> dict[str, Any]:
        import numpy as np

        rng = np.random.default_rng(seed)
        for attempt in range(_MOST_TRIES):

            def decide(name: str, domain: Domain, attempt: int = attempt) -> Any:
                value = wanted.get(name, _MISSING)
                if attempt and rng.random() * 20 < attempt:
                    return domain.draw(rng)
                possible = domain.possible or ()
                return value if value in domain else possible[0] if possible else domain.draw(rng)

            choices = _choices_of_run(self.space, decide)
            if choices is not None:
                return choices.values
        raise SpaceError(f"{self.space.name} rejected {_MOST_TRIES} draws in a row; loosen what it rejects")


def _choices_of_run(space: FunctionSpace, decide: Callable[[str, Domain], Any]) -> Choose | None:
    """What one run of the function asked for; None where it was rejected."""
    choose = Choose(decide)
    try:
        space.function(choose, **space.settings)
    except Rejected:
        return None
    except NetloomError:
        raise
    except Exception as error:  # whatever a function of somebody's own does
        raise SpaceError(f"{space.name}: {type(error).__name__}: {error} (choices so far: {choose.values})") from error
    return choose


def _explored(space: FunctionSpace) -> dict[str, Domain]:
    """The choices that random runs come to, with all values that any of them may have had."""
    import numpy as np

    rng = np.random.default_rng(0)
    found: dict[str, list[Domain]] = {}
    for _ in range(_RUNS):
        choose = _choices_of_run(space, lambda name, domain: domain.draw(rng))
        for name, domain in choose.domains.items() if choose is not None else ():
            found.setdefault(name, []).append(domain)
    if not found:
        space.sample(rng)  # says what is wrong
    return {name: _joined(domains) for name, domains in found.items()}


def _joined(domains: list[Domain]) -> Domain:
    """One domain with the values of all."""
    from ...spaces.choices import Options

    different = [domain for i, domain in enumerate(domains) if domain not in domains[:i]]
    if len(different) == 1 or any(domain.possible is None for domain in different):
        return next((domain for domain in different if domain.possible is None), different[0])
    return Options(tuple([value for domain in different for value in domain.possible or ()]))


def _token(name: str, value: Any) -> str:
    """The token of a choice, without the spaces that part tokens in text."""
    return f"{name}{SEPARATOR}{value!r}".replace(" ", "")
