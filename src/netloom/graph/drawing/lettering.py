"""How wide text is, without a font: the wider of the two families that pictures are most often shown in.

Widths are advances in thousandths of the font size, per character the larger of Arial's (and those of its metric twins) and
Roboto's, so that text measured here fits its box in either, and in any narrower family.
"""

from __future__ import annotations

from functools import lru_cache

#: Advances of the printable ASCII characters, from the space to the tilde.
_REGULAR = (
    278, 278, 355, 616, 562, 889, 667, 191, 342, 348, 431, 584, 278, 333, 278, 413, 562, 562, 562, 562, 562, 562, 562, 562,
    562, 562, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 552, 667, 556, 873, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 411, 278, 469, 556, 333, 556, 562, 523, 564, 556, 348, 562,
    556, 243, 239, 507, 243, 877, 556, 570, 562, 568, 339, 516, 327, 556, 500, 751, 500, 500, 500, 338, 260, 338, 680,
)  # fmt: skip
_BOLD = (
    278, 333, 474, 596, 574, 889, 722, 238, 351, 353, 454, 584, 278, 388, 291, 374, 574, 574, 574, 574, 574, 574, 574, 574,
    574, 574, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 292, 559, 722, 611, 876, 722, 778,
    667, 778, 722, 667, 619, 722, 667, 944, 667, 667, 611, 333, 422, 333, 584, 556, 333, 556, 611, 556, 611, 556, 358, 611,
    611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 338, 611, 556, 778, 556, 556, 509, 389, 280, 389, 649,
)  # fmt: skip
_SIGNS = {"×": 584, "–": 660, "→": 1000, "…": 1000, "·": 330, "²": 380}
#: Other letters are taken to be as wide as the widest common ones, East Asian ones as a square.
_LETTER, _SQUARE, _EAST_ASIAN = 700, 1000, 0x1100


@lru_cache(8192)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of ``text`` in pixels at a font size in pixels.

    >>> round(text_width("conv2d", 12), 1), text_width("", 12)
    (39.3, 0.0)
    """
    table = _BOLD if bold else _REGULAR
    total = 0
    for character in text:
        code = ord(character)
        if 32 <= code < 127:
            total += table[code - 32]
        else:
            total += _SIGNS.get(character) or (_SQUARE if code >= _EAST_ASIAN else _LETTER)
    return total * size / 1000


def shorten(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters: the middle goes, since both ends of a module path tell most.

    >>> shorten("encoder.layer.11.attention", 16)
    'encoder…ttention'
    """
    if len(text) <= limit:
        return text
    tail = limit // 2
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"
