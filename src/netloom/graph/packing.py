"""Constants inside documents: bytes as base64 of their zlib compression, unpacked without trusting them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

from ..errors import FormatError
from ..ops import TensorType
from ..ops.dtypes import DTYPES

#: All constants of one document together may take this many bytes.
MAX_TOTAL = 256 << 20


def pack(data: bytes) -> str:
    """``data`` as text in ASCII.

    >>> unpack(pack(b"netloom"), 7)
    b'netloom'
    """
    return base64.b64encode(zlib.compress(data, 9)).decode()


def unpack(text: str, size: int) -> bytes:
    """The ``size`` bytes that `pack` made ``text`` of; `FormatError` where it holds anything else.

    Never makes more than ``size + 1`` bytes, whatever the text would unfold to.
    """
    try:
        packed = base64.b64decode(text.encode("ascii"), validate=True)
        unfolder = zlib.decompressobj()
        data = unfolder.decompress(packed, size + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise FormatError(f"data must be base64 of zlib-compressed bytes ({error})") from None
    if len(data) == size and not unfolder.eof:
        try:
            data += unfolder.decompress(unfolder.unconsumed_tail, 1)
        except zlib.error as error:
            raise FormatError(f"data must be base64 of zlib-compressed bytes ({error})") from None
    if len(data) != size or not unfolder.eof or unfolder.unused_data:
        raise FormatError(f"data unfold to {'more' if len(data) > size else len(data)} bytes; expected {size}")
    return data


def num_bytes(type: TensorType) -> int:
    """Bytes that a constant of this type takes; `FormatError` for a free size."""
    total: int = DTYPES[type.dtype][1]
    for size in type.shape:
        if not isinstance(size, int):
            raise FormatError(f"a constant of type {type} has a free size; constants need plain sizes")
        total *= size
    return total


def is_digest(text: object) -> bool:
    """Whether ``text`` is a SHA-256 in lower-case hexadecimal, and so safe as the name of a file."""
    return isinstance(text, str) and len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
