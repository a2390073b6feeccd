"""Calls of Chroma, which block, on threads; what fails in passing is asked again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from deskloom.errors import IndexUnavailable
from deskloom.http.timing import Timing
from deskloom.indexes.asking import ask_again
from deskloom.indexes.chroma_copies import Copies, absent
from deskloom.indexes.chroma_places import Failed, Place, attempted

T = TypeVar("T")
_WRITE = 500


class Calls:
    """One Chroma, opened with the first call. `copies` and `most`, the entries in a write, are there within calls."""

    copies: Copies
    most: int = _WRITE

    def __init__(self, place: Place, *, retries: int, timing: Timing) -> None:
        self._place = place
        self._retries = retries
        self._timing = timing
        self._closed = False
        self._is_open = False
        self._opening = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="index-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="index-reader")

    async def ask(self, call: Callable[[], T], collection: str, reading: bool = False) -> T:
        """The answer of `call`. `reading`: somebody waits for it, so it is asked for once more at most.

        Raises `NotFound` for an absent collection, and what `Place.meaning` gives.
        """
        if self._closed:
            raise IndexUnavailable(f"The index, {self._place}, is closed. Open it again to use it.")
        pool = self._readers if reading else self._writer
        loop = asyncio.get_running_loop()

        def run() -> T:
            self._open()
            return call()

        return await ask_again(
            lambda: loop.run_in_executor(pool, attempted, run),
            lambda failed: self._place.meaning(failed, absent(collection)),
            failures=(Failed,),
            retries=min(1, self._retries) if reading else self._retries,
            timing=self._timing,
            address=str(self._place),
        )

    async def aclose(self) -> None:
        """Finish what was asked for, and close. May be repeated."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._place.close()

    def _open(self) -> None:
        with self._opening:
            if not self._is_open:
                client = self._place.open()
                self.copies = Copies(
                    client, place=str(self._place), trusted=self._place.trusted, monotonic=self._timing.monotonic
                )
                self.most = min(_WRITE, client.get_max_batch_size())
                self._is_open = True
