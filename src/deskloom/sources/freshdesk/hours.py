"""Time entries of a Freshdesk account: one list of all, read by the month that was worked in (HELPDESK-APIS 2.7).

The list says neither what changed nor what was deleted, so months are read again: from that of `days` ago on, or, from
the beginning, from the first month with an entry. Whether the list has a default window is not known (section 9), so a
beginning is always given; nor whether its bounds count, or to the second, so they are set a day wider than is taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deskloom.errors import AccessRefused, InvalidRequest, Unreadable, WindowStuck
from deskloom.model import Cursor, Json, Kind, Page, TimeSheet
from deskloom.protocols import Known
from deskloom.sources.freshworks.lists import is_known, list_whole, warning
from deskloom.sources.freshworks.reader import SIZE, Absent, Reader, Rows
from deskloom.sources.freshworks.timesheets import to_sheet
from deskloom.sources.freshworks.values import EPOCH, instant, iso

LIST = "/time_entries"
FOUNDED = datetime(2010, 1, 1, tzinfo=UTC)
"""Before Freshdesk there were hardly any entries: what is older is read as one span."""
_MARGIN = timedelta(days=1)
_ASTRAY = timedelta(days=4)
"""A row so far outside what was asked for shows that the filter is not honoured."""

Span = tuple[datetime | None, datetime | None]


def month_of(at: datetime) -> datetime:
    """The beginning (UTC) of the month that a time lies in."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    return month_of(month + timedelta(days=31))


def spans_from(start: datetime, now: datetime) -> Iterator[Span]:
    """The months from `start` to that of `now`, and everything later: a work date may lie in the future."""
    since = start
    while since <= now:
        following = month_after(month_of(since))
        yield since, following
        since = following
    yield since, None


@dataclass(slots=True)
class HoursStream:
    """Reads the time entries of one account, a sheet a month."""

    reader: Reader
    days: timedelta

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Sheets that are not known, the oldest first. Where the list may not be read, a warning, and nothing moves."""
        cursor: Json = dict(after or {})
        left, told = limit, True
        try:
            for since, before in await self._spans(cursor):
                if left is not None and left <= 0:
                    return
                sheet = await self.span(since, before)
                cursor = self._after(cursor, before)
                told = not is_known(sheet, await known(Kind.HOURS, [sheet.key]))
                if told:
                    left = None if left is None else left - 1
                    yield Page(records=(sheet,), cursor=cursor)
        except AccessRefused as error:
            yield Page(records=(), failures=(warning(Kind.HOURS, error.message),), cursor=cursor)
            return
        if not told:
            yield Page(records=(), cursor=cursor)

    async def fetch(self, key: str) -> TimeSheet | None:
        """The sheet of a key: of a ticket, archived ones too, or of a span. None for a ticket that does not exist."""
        try:
            if "/" in key:
                since, before = (instant(part) for part in key.split("/", 1))
                return await self.span(since, before)
            if not (key.isascii() and key.isdigit()):
                raise InvalidRequest(f'"{key}" is not an id of a ticket.', parameter="id")
            return await self._of_ticket(key)
        except AccessRefused as error:
            raise Unreadable(f"The hours of ticket {key} may not be read now: {error.message}", key=key) from None

    async def span(self, since: datetime | None, before: datetime | None) -> TimeSheet:
        """Everything worked at or after `since` and before `before`. An entry without a work date, should the list
        give one, belongs to the span that is open to the past."""
        params: dict[str, str | int] = {"executed_after": iso(since - _MARGIN if since else EPOCH)}
        if before is not None:
            params["executed_before"] = iso(before + _MARGIN)

        async def get(page: int, size: int) -> Rows:
            answer = await self.reader.required(LIST, params | {"page": page, "per_page": size}, kind="time entries")
            self._check_filter(answer, since, before)
            return answer

        rows = [row for row in await list_whole(get) if _within(instant(row.get("executed_at")), since, before)]
        return to_sheet(rows, since=since, before=before)

    async def _of_ticket(self, key: str) -> TimeSheet | None:
        for path in (f"/tickets/{key}", f"/tickets/archived/{key}"):
            try:
                rows = await self.reader.every(f"{path}{LIST}", kind="time entries of a ticket", refusals=1)
                return to_sheet(rows, ticket_id=int(key))
            except Absent:
                continue
        for path in (f"/tickets/{key}", f"/tickets/archived/{key}"):
            try:
                await self.reader.one(path, kind="ticket", refusals=1)
            except Absent:
                continue
            raise Unreadable(f"The hours of ticket {key} are not shown, although the ticket is there.", key=key)
        return None

    async def _spans(self, cursor: Json) -> list[Span]:
        """What is to be read: on from where a read was stopped, or the last months, or everything."""
        now = self.reader.client.now()
        start = instant(cursor.get("next"))
        if start is not None:
            return list(spans_from(start, now))
        read_at = instant(cursor.get("read"))
        if read_at is not None:
            return list(spans_from(month_of(min(read_at, now) - self.days), now))
        start = await self._earliest(now)
        return [(None, start), *spans_from(start, now)]

    def _after(self, cursor: Json, before: datetime | None) -> Cursor:
        began = cursor.get("began") or iso(self.reader.client.now())
        return {"v": 1, "read": began} if before is None else {"v": 1, "began": began, "next": iso(before)}

    async def _earliest(self, now: datetime) -> datetime:
        """The first month with an entry, found by halving (a call each); that of `now` if there is none."""
        months = [FOUNDED]
        while (following := month_after(months[-1])) <= now:
            months.append(following)
        low, high = 0, len(months) - 1
        while low < high:
            middle = (low + high) // 2
            if await self._any_before(month_after(months[middle])):
                high = middle
            else:
                low = middle + 1
        return months[low]

    async def _any_before(self, at: datetime) -> bool:
        params: dict[str, str | int] = {"executed_after": iso(EPOCH), "executed_before": iso(at)}
        answer = await self.reader.required(LIST, params | {"page": 1, "per_page": SIZE}, kind="time entries")
        self._check_filter(answer, None, at)
        return any(instant(row.get("executed_at")) for row in answer.rows)

    def _check_filter(self, answer: Rows, since: datetime | None, before: datetime | None) -> None:
        for row in answer.rows:
            at = instant(row.get("executed_at"))
            if at and ((since and at < since - _ASTRAY) or (before and at > before + _ASTRAY)):
                raise WindowStuck(
                    f"{self.reader.client.title} lists time entries beyond the dates that were asked for, so they "
                    f"cannot be read month by month. Nothing was lost; please report this.",
                )


def _within(at: datetime | None, since: datetime | None, before: datetime | None) -> bool:
    if at is None:
        return since is None
    return (since is None or at >= since) and (before is None or at < before)


def cursor_since(when: datetime) -> Cursor:
    """What was worked from the month of `when` on; when an entry was made or changed, the list does not say."""
    return {"v": 1, "next": iso(month_of(when))}
