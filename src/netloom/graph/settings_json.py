"""Settings that come as JSON: read, with an error that says which name is wrong and what was meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import NetloomError


def read_settings(
    what: str, document: str | Mapping[str, Any], known: Collection[str], error: type[NetloomError]
) -> dict[str, Any]:
    """The settings of ``what``, a JSON object or its text, all of them ``known``; ``error`` says what is wrong.

    >>> from netloom.errors import TaskError
    >>> read_settings("a recipe", '{"epochs": 3}', ("epochs", "seed"), TaskError)
    {'epochs': 3}
    >>> read_settings("a recipe", '{"epoch": 3}', ("epochs", "seed"), TaskError)
    Traceback (most recent call last):
    netloom.errors.TaskError: a recipe has no setting 'epoch'; did you mean 'epochs'?
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError as problem:
            raise error(f"{what}: the settings are no JSON: {problem}") from None
    if not isinstance(document, Mapping):
        raise error(f"{what}: settings are a JSON object, not {str(document)[:80]!r}")
    check_names(what, document, known, error)
    return dict(document)


def check_names(what: str, given: Collection[str], known: Collection[str], error: type[NetloomError]) -> None:
    """``error`` for the first of ``given`` that is not ``known``, with the nearest that is."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(known)}"
            raise error(f"{what} has no setting {str(name)[:80]!r}; {hint}")
