"""Memory that a training frees stays with the process, on huge pages where the system has them.

A step makes and frees every activation. glibc hands large blocks back to the system as soon as they are free, and the next step
gets them as new pages of 4 KiB, each cleared and mapped at its first touch: on virtual machines as long as the arithmetic
(docs/decisions.md has the measurements). Processes that train keep what they freed instead.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from functools import cache

#: Set to 0, it leaves the allocator as it is.
VARIABLE = "NETLOOM_KEEP_MEMORY"
#: A process that holds more than this when a training ends gives back what is free.
MOST_KEPT = 2 << 30
#: The first GiB of the heap is asked to lie on huge pages: addresses only, no memory until it is used.
ON_HUGE_PAGES = 1 << 30

_HUGE_PAGE = 2 << 20
#: <malloc.h> and <sys/mman.h>.
_TRIM_THRESHOLD, _MMAP_MAX, _MADV_HUGEPAGE = -1, -4, 14


@cache
def keep_freed() -> bool:
    """From now on this process keeps the memory that it frees; whether it does (glibc on Linux).

    Its resident size stays at its peak until `give_back`. Trainings call both, evaluations and measured latencies this one.
    """
    if os.environ.get(VARIABLE) == "0" or sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    kept = bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1))
    if kept:
        _ask_for_huge_pages(libc)
    return kept


def give_back() -> None:
    """Hand free memory back to the system where the process keeps it and holds more than `MOST_KEPT`."""
    if keep_freed() and resident_bytes(os.getpid()) > MOST_KEPT:
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        _ask_for_huge_pages(libc)


def resident_bytes(process: int) -> int:
    """The memory that a process takes up; 0 where that cannot be told."""
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, timeout=5).stdout
        return int(told.strip() or 0) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Grow the heap by `ON_HUGE_PAGES`, advise the system, and free it: what is allocated next lies there."""
    if threading.current_thread() is not threading.main_thread():  # which has a heap of its own
        return
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.malloc(ON_HUGE_PAGES)
    if start is None:  # a limit on addresses
        return
    first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    libc.madvise(first, (start + ON_HUGE_PAGES - first) // _HUGE_PAGE * _HUGE_PAGE, _MADV_HUGEPAGE)
    libc.free(start)
