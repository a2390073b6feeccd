"""What the drivers of both databases raise, said in our own words: what happened, to which database, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, TimeoutError

from deskloom.errors import DeskloomError, HomeForeign, RecordDamaged, RecordOutdated, RecordUnavailable

Fault = Callable[[str], DeskloomError]

BRIEFLY = timedelta(seconds=5)
LONGER = timedelta(seconds=60)


def shown(url: URL) -> str:
    """The database as people may read it: a path, or where it is on which server. Never a password."""
    if url.get_backend_name() == "sqlite":
        return f'"{url.database}"'
    place = f"{url.host or 'localhost'}:{url.port or 5432}"
    return f'"{url.database or ""}" on {place}'


def translate(error: BaseException, place: str) -> DeskloomError | None:
    """The error to raise in its stead; None where the fault is in a statement of ours and must be seen as it is."""
    if isinstance(error, TimeoutError):
        return _unavailable("{} had no free connection in time. Try again, or raise the pool size.", BRIEFLY)(place)
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        fault = _sqlite_fault(cause)
    elif state := getattr(cause, "sqlstate", None):
        fault = _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    elif isinstance(cause, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        fault = _AWAY
    else:
        fault = None
    return fault(place) if fault else None


def _unavailable(text: str, retry_after: timedelta, *, passing: bool = False) -> Fault:
    """`passing`: the connection, or the server, went away; nothing has to be done about it but to come back."""
    return lambda place: RecordUnavailable(
        text.format(f"Record {place}"), retry_after=retry_after, database=place, passing=passing
    )


def _foreign(text: str) -> Fault:
    return lambda place: HomeForeign(text.format(f"Record {place}"), database=place)


def _damaged(place: str) -> DeskloomError:
    return RecordDamaged(
        f"Record {place} is damaged. Restore it from a backup, or move it away and sync everything again: "
        "deskloom sync all --full",
        database=place,
    )


def _outdated(place: str) -> DeskloomError:
    return RecordOutdated(f"Record {place} lacks a table or column. Run: deskloom db upgrade", database=place)


_AWAY = _unavailable(
    "{} cannot be reached. Check that the server runs and DATABASE_URL names it.", BRIEFLY, passing=True
)
_FULL = _unavailable("{} cannot grow: its disk is full. Free some space; nothing that was stored is lost.", LONGER)
_READ_ONLY = _unavailable("{} may only be read. Make it (and its folder) writable.", LONGER)
_TANGLED = _unavailable(
    "{} was busy with another writer on the same rows. Try again.", timedelta(seconds=1), passing=True
)
LOCKED = _unavailable("{} is locked by another program. Close what has it open, or try again.", BRIEFLY)

_SQLITE: dict[int, Fault] = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR: _unavailable("{} cannot be read or written: its disk reports an error.", LONGER),
    sqlite3.SQLITE_CANTOPEN: _unavailable(
        "{} cannot be opened. Check that its folder exists and may be written to.", LONGER
    ),
    sqlite3.SQLITE_CORRUPT: _damaged,
    sqlite3.SQLITE_NOTADB: _foreign("{} is not a database. Point DESKLOOM_HOME or DATABASE_URL somewhere else."),
}


def _sqlite_fault(error: sqlite3.Error) -> Fault | None:
    # The low byte is the primary code; the rest tells where (https://www.sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE:
        return _SQLITE[code & 0xFF]
    if str(error).startswith(("no such table", "no such column")):
        return _outdated
    return None


# https://www.postgresql.org/docs/current/errcodes-appendix.html; two characters stand for a whole class.
_POSTGRES: dict[str, Fault] = {
    "08": _AWAY,
    "28": _unavailable("{} refused the user or password. Set the right ones in DATABASE_URL.", LONGER),
    "3D000": _unavailable("{} does not exist on that server. Create it (createdb) or correct DATABASE_URL.", LONGER),
    "25006": _READ_ONLY,
    "42501": _unavailable("{} does not let this user do that. Grant it the rights on its schema and tables.", LONGER),
    "42P01": _outdated,
    "42703": _outdated,
    "40001": _TANGLED,
    "40P01": _TANGLED,
    "53100": _FULL,
    "53200": _unavailable("{} ran out of memory. Try again later.", LONGER),
    "53300": _unavailable(
        "{} has no connection left. Raise max_connections or lower the pool size.", BRIEFLY, passing=True
    ),
    "55P03": LOCKED,
    "57": _unavailable("{} is starting, stopping or cancelled the statement. Try again.", BRIEFLY, passing=True),
    "58": _unavailable("{} cannot be read or written: the server's disk reports an error.", LONGER),
    "XX001": _damaged,
    "XX002": _damaged,
}
