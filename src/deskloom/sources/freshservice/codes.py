"""Code tables and groups: the account's own labels, merged over its workspaces (HELPDESK-APIS 3.5, 3.9, 3.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deskloom.errors import AccessRefused, SourceRejected
from deskloom.model import Codes, Json, Kind
from deskloom.sources.freshservice.workspaces import Workspace, Workspaces
from deskloom.sources.freshworks.lists import Found, warning
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.values import code_table, integer, text

_LEVELS = {1: "Low", 2: "Medium", 3: "High"}
FIXED_CODES: Mapping[str, Mapping[int, str]] = {
    "status": {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"},
    "priority": {**_LEVELS, 4: "Urgent"},
    "channel": {
        1: "Email", 2: "Portal", 3: "Phone", 4: "Chat", 5: "Feedback widget", 6: "Yammer", 7: "AWS CloudWatch",
        8: "PagerDuty", 9: "Walk-up", 10: "Slack", 11: "Chatbot", 12: "Workplace", 13: "Employee Onboarding",
        14: "Alerts", 15: "MS Teams", 18: "Employee Offboarding",
    },
    "urgency": _LEVELS,
    "impact": _LEVELS,
}  # fmt: skip
"""What every account has (3.5; the numbers are not Freshdesk's): for tables that the key may not read."""

CODE_FIELDS = {
    "status": "status", "priority": "priority", "source": "channel", "urgency": "urgency", "impact": "impact",
}  # fmt: skip
"""The form fields that are code tables, and what we call them."""
GROUP = "group"
_TOLD = 10


@dataclass(slots=True)
class _Merged:
    """Tables as they grow, workspace by workspace: of a code with several labels the first stands, and it is told."""

    labels: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def add(self, name: str, labels: Mapping[int, str], where: str) -> None:
        table = self.labels.setdefault(name, {})
        for code, label in labels.items():
            first, place = table.setdefault(code, (label, where))
            if first != label:
                self.odd.append(f'{name} {code} is "{first}" in {place}, which is shown, and "{label}" in {where}.')

    def warnings(self) -> list[str]:
        more = [f"{len(self.odd) - _TOLD} more codes have several labels."] if len(self.odd) > _TOLD else []
        return [*self.said, *self.odd[:_TOLD], *more]

    def codes(self, name: str) -> Codes:
        return code_table(name, {code: label for code, (label, _) in self.labels[name].items()})


@dataclass(slots=True)
class CodeTables:
    """Reads the code tables of one account: two calls a workspace, for `workspace_id=0` is not taken by either list."""

    reader: Reader
    workspaces: Workspaces

    async def find(self) -> Found:
        """Every table, in the account's own words; the fixed ones where none can be read and none is stored."""
        division = await self.workspaces.division()
        parts: Sequence[Workspace | None] = division.workspaces if len(division.workspaces) > 1 else (None,)
        merged = _Merged(said=[division.refused] if division.refused else [])
        for part in parts:
            for row in await self._rows("/ticket_form_fields", part, merged):
                name = CODE_FIELDS.get(text(row.get("name")) or "")
                if name is not None and row.get("default_field") is not False:
                    merged.add(name, choice_labels(row.get("choices")), _title(part))
        read = {name for name, labels in merged.labels.items() if labels}
        for part in parts:
            groups = {int(row["id"]): text(row.get("name")) for row in await self._rows("/groups", part, merged)}
            merged.add(GROUP, {id: label for id, label in groups.items() if label}, _title(part))
        said = merged.warnings()
        fixed = [code_table(name, FIXED_CODES[name]) for name in FIXED_CODES if name not in read]
        own = [merged.codes(name) for name in (*FIXED_CODES, GROUP) if merged.labels.get(name)]
        warnings = (warning(Kind.CODES, " ".join(said)),) if said else ()
        return Found(own, warnings, complete=False, missing=fixed)

    async def fetch(self, key: str) -> Codes | None:
        """One table by its name."""
        found = await self.find()
        return next(
            (one for one in (*found.records, *found.missing) if isinstance(one, Codes) and one.key == key), None
        )

    async def _rows(self, path: str, part: Workspace | None, merged: _Merged) -> list[Json]:
        """A list of one workspace; none where it is closed to the key, which is told, or has no such list."""
        where: Json = {} if part is None else {"workspace_id": part.id}
        try:
            return await self.reader.every(path, where, kind=path.strip("/").replace("_", " "), refusals=1)
        except AccessRefused as error:
            merged.said.append(f"{_title(part)}: {error.message}" if part else error.message)
        except Absent:
            if part is None:
                raise self.reader.nowhere(path) from None
        except SourceRejected:
            if part is None or part.primary:
                raise
        return []


def choice_labels(choices: object) -> dict[int, str]:
    """Code → label from `choices`, which is a list of `{id, value, …}` (3.10)."""
    rows = [row for row in choices if isinstance(row, dict)] if isinstance(choices, list) else []
    found = {integer(row.get("id")): text(row.get("value")) for row in rows}
    return {code: label for code, label in found.items() if code is not None and label}


def _title(part: Workspace | None) -> str:
    return f'workspace "{part.name or part.id}"' if part is not None else "the account"
