"""Asking a server again: what fails in passing is repeated after a pause; what fails for good is said in our words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from deskloom.errors import DeskloomError
from deskloom.http.timing import Timing

log = structlog.get_logger(__name__)
T = TypeVar("T")
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0

Meaning = Callable[[Exception], tuple[DeskloomError, float | None]]
"""An error as ours, and the seconds to wait before another try; None: trying again is no use."""


async def ask_again(
    call: Callable[[], Awaitable[T]],
    meaning: Meaning,
    *,
    failures: tuple[type[Exception], ...],
    retries: int,
    timing: Timing,
    address: str,
) -> T:
    """The answer of `call`, which is made at most `retries` + 1 times and has to be repeatable.

    Of `failures`, the last is raised as what it means; anything else is raised as it is.
    """
    tries = 0
    while True:
        try:
            return await call()
        except failures as error:
            trouble, wait = meaning(error)
            if wait is None or tries >= retries or wait > _LONGEST_WAIT:
                raise trouble from error
        tries += 1
        seconds = max(wait, _FIRST_WAIT * 2 ** (tries - 1)) * (1 + timing.chance() / 4)
        log.info("asking the index again", address=address, seconds=round(seconds, 1), reason=trouble.message)
        await timing.sleep(seconds)
