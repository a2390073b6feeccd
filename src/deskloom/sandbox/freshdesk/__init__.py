"""A small, faithful Freshdesk: its state, its rules and its API."""

from __future__ import annotations

from collections.abc import Mapping

from deskloom.sandbox.answers import Answer
from deskloom.sandbox.freshdesk import control, gate
from deskloom.sandbox.freshdesk.desk import Desk as _State
from deskloom.sandbox.freshdesk.edits import Editor, perform
from deskloom.sandbox.freshdesk.state import whole
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.rows import Row

__all__ = ["Desk", "Switches"]


class Desk(_State):
    """One Freshdesk account with its API and its control API; what `SandboxServer` serves."""

    def answer(
        self, verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
    ) -> tuple[Answer, str, int]:
        return gate.answer(self, verb, path, query, headers, body, base)

    def control(self, verb: str, path: str, query: str, body: bytes) -> Answer:
        return control.control(self, verb, path, query, body)

    def state(self, kind: str) -> list[Row]:
        """Every row of a kind as it truly is, in order of id."""
        with self.lock:
            return whole(self, kind)

    def perform(self, step: Row) -> object:
        """One step of the control API's `do`, for tests that hold the desk itself."""
        with self.lock:
            return perform(self, step)

    def edit(self, seed: int, count: int = 1) -> list[str]:
        """Random edits by seed; returns what was done."""
        with self.lock:
            editor = Editor(self, seed)
            return [editor.edit() for _ in range(count)]
