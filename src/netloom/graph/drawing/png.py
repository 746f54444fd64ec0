"""A picture as PNG, lettered with the fonts that come with netloom, so that it is the same on every machine."""

from __future__ import annotations

import re
from importlib.resources import as_file, files

#: Pixels on either side beyond which a picture is rendered smaller.
_MAX_SIDE = 16_000


def to_png(svg: str, zoom: float = 2.0) -> bytes:
    """The picture of an SVG with fixed colours; ``zoom`` gives the pixels for each of its units."""
    import resvg_py

    sizes = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    side = max(float(sizes[1]), float(sizes[2])) if sizes else 1.0
    folder = files("netloom.graph.drawing") / "fonts"
    with as_file(folder / "NetloomSans-Regular.ttf") as regular, as_file(folder / "NetloomSans-Bold.ttf") as bold:
        made = resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=min(zoom, _MAX_SIDE / side),
            # Fonts of the system only for scripts that ours do not have.
            skip_system_fonts=_ours_suffice(svg),
            font_files=[str(regular), str(bold)],
            font_family="Netloom Sans",
            sans_serif_family="Netloom Sans",
        )
    return bytes(made)


def _ours_suffice(svg: str) -> bool:
    return all(ord(character) < 0x180 or character in "×–→…·²" for character in svg)
