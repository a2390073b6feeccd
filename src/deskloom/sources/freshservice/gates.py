"""Parts of tickets that the account's plan, or the key's role, may not let anyone read."""

from __future__ import annotations

from dataclasses import dataclass, field

from deskloom.errors import AccessRefused
from deskloom.model import ItemFailure, Kind
from deskloom.sources.freshworks.beside import MOST_IN_A_ROW
from deskloom.sources.freshworks.lists import warning


@dataclass(slots=True)
class Gate:
    """Whether one such part is open. It is asked until it is clear that it is closed, and told of once a read."""

    kind: Kind
    without: str
    """What tickets are read without, for people."""
    closed: bool = field(default=False, init=False)
    _reason: str | None = field(default=None, init=False)
    _in_a_row: int = field(default=0, init=False)

    def begin(self) -> None:
        """A new read: it may have been opened."""
        self.closed, self._reason, self._in_a_row = False, None, 0

    def passed(self) -> None:
        self._in_a_row = 0

    def refused(self, error: AccessRefused) -> None:
        """Closed where the plan lacks it, or for good reason to believe so: some refusals are one ticket's (T20)."""
        self._reason = self._reason or error.message
        self._in_a_row += 1
        self.closed = self.closed or error.facts.get("code") == "require_feature" or self._in_a_row >= MOST_IN_A_ROW

    def told(self) -> tuple[ItemFailure, ...]:
        if self._reason is None:
            return ()
        what = "Tickets" if self.closed else "Some tickets"
        return (warning(self.kind, f"{what} are read without {self.without}: {self._reason}"),)
