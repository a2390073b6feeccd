"""The process's heap: what native threads free goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deskloom.heap import share_heaps

THREADS = """
import ctypes, sys, threading
from deskloom.heap import share_heaps

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def own():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def work():
    blocks = [libc.malloc(60_000) for _ in range(400)]
    for block in blocks:
        ctypes.memset(block, 1, 60_000)
    for block in blocks:
        libc.free(block)
    done.wait()

if sys.argv[1] == "shared":
    assert share_heaps()
before, done = own(), threading.Barrier(9)
for _ in range(8):
    threading.Thread(target=work).start()
    while done.n_waiting < threading.active_count() - 1:
        pass
print(own() - before)
done.wait()
"""


def kept(how: str) -> int:
    """kB that eight threads hold after each has used 24 MB and freed it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", THREADS, how]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_threads_free_is_given_back() -> None:
    """Threads that used much memory and freed it hold a fraction of what they would hold otherwise."""
    if not share_heaps():
        pytest.skip("the C library is not glibc")
    assert kept("shared") * 2 < kept("plain")  # each of the two heaps may keep one thread's worth


def test_repeating_it_changes_nothing() -> None:
    """It may be asked for any number of times, with the same answer."""
    assert share_heaps() is share_heaps()
