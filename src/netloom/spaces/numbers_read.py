"""Whole numbers as people write them."""

from __future__ import annotations

import re


def whole_number(text: str) -> int:
    """The number that a person writes as ``250000``, ``250k``, ``2.5e5`` or ``0.25M``; `ValueError` for any other text.

    >>> whole_number("10M"), whole_number("1.5k"), whole_number("2G")
    (10000000, 1500, 2000000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:e\+?\d{1,3})?)\s*([kmg]?)\s*", text, re.IGNORECASE)
    if match is None:
        raise ValueError(f"expected a whole number such as 250000, 250K or 0.25M, not {text[:80]!r}")
    number = float(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()]
    if not abs(number - round(number)) <= 1e-9 * number:
        raise ValueError(f"{text[:80]!r} is no whole number")
    return round(number)
