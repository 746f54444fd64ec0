"""Numbers as people read them."""

from __future__ import annotations


def score_text(score: float | None, sign: bool = False) -> str:
    """A score, or with ``sign`` a difference of scores.

    >>> score_text(0.97123), score_text(-1234.5), score_text(None), score_text(0.004, sign=True), score_text(-0.5, sign=True)
    ('0.9712', '-1234', '–', '+0.0040', '−0.5000')
    """
    if score is None:
        return "–"
    text = f"{score:.4f}" if abs(score) < 100 else f"{score:.4g}"
    return ("−" + text[1:] if score < 0 else f"+{text}") if sign else text


def count_text(value: float) -> str:
    """A count in three digits.

    >>> count_text(999), count_text(12_345), count_text(3_400_000), count_text(5.5e9)
    ('999', '12.3k', '3.4M', '5.5G')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def value_text(value: float | None, unit: str) -> str:
    """A measure in its unit.

    >>> value_text(0.00042, "seconds"), value_text(3_000_000, "bytes"), value_text(12, ""), value_text(None, "")
    ('0.42 ms', '2.86 MiB', '12', '–')
    """
    if value is None:
        return "–"
    if unit == "seconds":
        return f"{value * 1e6:.3g} µs" if value < 1e-4 else f"{value * 1e3:.3g} ms" if value < 1 else duration(value)
    if unit == "bytes":
        size = next((size for size in (30, 20, 10) if value >= 2**size), 0)
        return f"{value / 2**size:.3g} {({30: 'GiB', 20: 'MiB', 10: 'KiB', 0: 'B'})[size]}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(8.25), duration(75), duration(3 * 3600 + 120)
    ('8.2 s', '1 min 15 s', '3 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def plural(count: int, word: str) -> str:
    """
    >>> plural(1, "candidate"), plural(1200, "candidate")
    ('1 candidate', '1,200 candidates')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"
