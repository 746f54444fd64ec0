"""Memory that a training frees stays with the process, on huge pages where the system has them.

A step makes and frees every activation. glibc hands large blocks back to the system as soon as they are free, and the next step
gets them as new pages of 4 KiB, each cleared and mapped at its first touch: on virtual machines as long as the arithmetic
(docs/decisions.md has the measurements). Processes that train keep what they freed instead.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from functools import cache

#: Set to 0, it leaves the allocator as it is.
VARIABLE = "NETLOOM_KEEP_MEMORY"
#: The first GiB of the heap is asked to lie on huge pages: addresses only, no memory until it is used.
ON_HUGE_PAGES = 1 << 30

_HUGE_PAGE = 2 << 20
#: <malloc.h> and <sys/mman.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _MADV_HUGEPAGE = -1, -4, 14


@cache
def keep_freed() -> bool:
    """From now on this process keeps the memory that it frees; whether it does (glibc on Linux).

    Its resident size stays at its peak. Called when a training begins; the first call counts.
    """
    if os.environ.get(VARIABLE) == "0" or sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    kept = bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1))
    if kept and threading.current_thread() is threading.main_thread():  # other threads have heaps of their own
        _ask_for_huge_pages(libc)
    return kept


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Grow the heap by `ON_HUGE_PAGES`, advise the system, and free it: what is allocated next lies there."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.malloc(ON_HUGE_PAGES)
    if start is None:  # a limit on addresses
        return
    first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    libc.madvise(first, (start + ON_HUGE_PAGES - first) // _HUGE_PAGE * _HUGE_PAGE, _MADV_HUGEPAGE)
    libc.free(start)
