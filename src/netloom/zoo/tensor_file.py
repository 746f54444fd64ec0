"""`TensorFile`: a safetensors file whose tensors belong to numbered things."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor


class TensorFile:
    """Tensors under ``NUMBER/KEY``, each read when it is asked for; `ZooError` where the file is damaged or not there."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file: Any = safe_open(str(path), framework="pt")  # type: ignore[no-untyped-call]
        except (OSError, SafetensorError, ValueError) as error:
            raise ZooError(f"{str(path)!r} is no readable safetensors file: {error}") from None

    @cached_property
    def _keys(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name in self._file.keys():
            number, _, key = name.partition("/")
            if number.isdigit():
                found.setdefault(int(number), []).append(key)
        return found

    def numbers(self) -> set[int]:
        """The numbers that have tensors."""
        return set(self._keys)

    def keys_of(self, number: int) -> list[str]:
        """The keys of one number's tensors."""
        return self._keys.get(number, [])

    def read(self, number: int, key: str) -> Tensor:
        """One tensor."""
        try:
            return self._file.get_tensor(f"{number}/{key}")
        except Exception as error:  # whatever reading a damaged file raises
            raise ZooError(f"tensor {number}/{key} cannot be read from {str(self.path)!r}: {error}") from None
