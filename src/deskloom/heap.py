"""Memory that was freed is used again: what a run needs depends on its batches, not on how many there were.

glibc gives every thread a heap of its own and keeps what is freed in it. Index, embedder and record have some twenty
threads, each of which would come to hold the largest batch it ever saw (docs/decisions/0004).
"""

from __future__ import annotations

import ctypes

# mallopt's names and numbers: malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def share_heaps() -> bool:
    """Let all threads share two heaps, which give back most of what is free. False where the C library is not glibc.

    For the whole process, and only for heaps made afterwards, so it is called before the first threads of native code.
    A setting of its own (`MALLOC_ARENA_MAX` and its kin, `GLIBC_TUNABLES`) is overruled. May be repeated.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  # musl has a mallopt of no effect, others have none
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # Setting a threshold also ends its growth: glibc would raise both with every large block that is freed.
    wanted = ((_ARENA_MAX, 2), (_TRIM_THRESHOLD, 4 << 20), (_MMAP_THRESHOLD, 128 << 10))
    return {mallopt(name, value) for name, value in wanted} == {1}
