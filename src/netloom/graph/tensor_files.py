"""Writing files of tensors: beside, then moved into place, so that a file is whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import NetloomError


def write_whole(
    path: str | os.PathLike[str], write: Callable[[Path], None], what: str, error: type[NetloomError]
) -> Path:  # fmt: skip
    """Call ``write(partial)`` and move what it wrote to ``path``; what was there before stays where that fails.

    Raises ``error``, which says that ``what`` cannot be written, for a folder in the way, a missing one, a full disk.
    """
    from safetensors import SafetensorError

    target = Path(path)
    refusal = f"{what} cannot be written to {str(target)!r}"
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        if target.is_dir():
            raise error(f"{refusal}: it is a folder; give the name of a file")
        if not target.parent.is_dir():
            raise error(f"{refusal}: there is no folder {str(target.parent)!r}, make it first")
        write(partial)
        partial.replace(target)
    except (OSError, SafetensorError) as failure:
        reason = (failure.strerror if isinstance(failure, OSError) else None) or failure
        raise error(f"{refusal}: {reason}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return target
