"""Faults on demand: rules that spoil the answers to matching requests, and hooks that act before them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["403", "404", "429", "500", "502", "503", "504", "hang", "reset", "truncate", "cut", "html", "slow"]
"""403 access denied (or `code`) · 404 empty body · 429 rate limit, with `retry_after` or without · 5xx HTML page ·
hang: no answer · reset: the connection is reset · truncate: half of the JSON in a well-formed answer · cut: the
connection ends in mid-body · html: 200 with an HTML page · slow: the right answer after `seconds`."""

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(slots=True, kw_only=True)
class Fault:
    """Spoils matching requests. `match` is a regular expression over `GET /api/v2/tickets?page=2` (path as sent).

    The first `skip` matches pass; then `times` requests fail (None: all of them, until removed).
    """

    match: str
    kind: Kind
    times: int | None = 1
    skip: int = 0
    retry_after: int | None = None
    code: str = "access_denied"
    seconds: float = 3600.0
    hits: int = 0
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; choose one of {', '.join(KINDS)}.")
        self._pattern = re.compile(self.match)

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def strikes(self, line: str) -> bool:
        if self.spent or not self._pattern.search(line):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True

    def as_row(self) -> dict[str, Any]:
        names = ("match", "kind", "times", "skip", "retry_after", "code", "seconds", "hits")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True, kw_only=True)
class Hook:
    """Runs `action` once, just before the `nth` request that matches is answered."""

    match: str
    action: Callable[[], None]
    nth: int = 1
    seen: int = 0


class Faults:
    """The rules in force, in the order they were added: the first that strikes decides."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self.hooks: list[Hook] = []

    def add(self, fault: Fault) -> Fault:
        self.rules.append(fault)
        return fault

    def before(self, match: str, action: Callable[[], None], *, nth: int = 1) -> Hook:
        """Do something between two requests: `action` runs before the nth request matching `match`."""
        hook = Hook(match=match, action=action, nth=nth)
        self.hooks.append(hook)
        return hook

    def clear(self) -> None:
        self.rules.clear()
        self.hooks.clear()

    def run_hooks(self, line: str) -> None:
        for hook in list(self.hooks):
            if not re.search(hook.match, line):
                continue
            hook.seen += 1
            if hook.seen == hook.nth:
                self.hooks.remove(hook)
                hook.action()

    def take(self, line: str) -> Fault | None:
        for rule in self.rules:
            if rule.strikes(line):
                if rule.spent:
                    self.rules.remove(rule)
                return rule
        return None
