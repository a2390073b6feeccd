"""Where Chroma's data lies: a folder that this process owns, or a server; and what its errors mean."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import chromadb
import httpx
from chromadb.api import ClientAPI
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings as ChromaSettings
from chromadb.errors import AuthorizationError, ChromaAuthError, ChromaError, NotFoundError

from deskloom.errors import AccessRefused, CredentialsRefused, DeskloomError, IndexUnavailable, NotFound, WrongProduct
from deskloom.indexes.folder import own_folder

T = TypeVar("T")
_LATER = timedelta(seconds=10)
_REASON = 240
_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SERVER_TRUSTED = 2.0
"""Seconds for which reads trust what they know of a server's copies; a swap by another process shows within them."""


class Failed(Exception):
    """A call failed with something that is not ours; `error` is what."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def attempted(call: Callable[[], T]) -> T:
    """The answer of a blocking call. Raises `Failed` for what Chroma raises, a panic of its engine included."""
    try:
        return call()
    except (DeskloomError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise Failed(error) from error


class Place(Protocol):
    """A folder or a server. `trusted`: seconds for which nobody else can have changed what serves, or may have."""

    trusted: float

    def open(self) -> ClientAPI: ...

    def close(self) -> None: ...

    def meaning(self, failed: Exception, absent: NotFound) -> tuple[DeskloomError, float | None]:
        """The error as ours, and the seconds to wait before another try; None: trying again is no use."""
        ...


class Folder:
    """A folder of this process: `Place`."""

    trusted = float("inf")

    def __init__(self, root: Path) -> None:
        """Raises `HomeInUse` if another process has it: Chroma itself would open it, and answer wrongly."""
        self.root = root
        self._lock = own_folder(root)
        self._client: ClientAPI | None = None

    def __str__(self) -> str:
        return f"Chroma in {self.root}"

    def open(self) -> ClientAPI:
        data = self.root / "data"
        _remove_leftovers(data)
        try:
            self._client = _open_folder(data)
        except Exception as error:
            if not _is_no_database(error):
                raise
            damaged = self.root / "damaged"  # kept for whoever wants to know; it is not used again
            shutil.rmtree(damaged, ignore_errors=True)
            data.rename(damaged)
            self._client = _open_folder(data)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[attr-defined]
        self._lock.close()

    def meaning(self, failed: Exception, absent: NotFound) -> tuple[DeskloomError, float | None]:
        error = _cause(failed)
        if isinstance(error, NotFoundError):
            return absent, None
        return IndexUnavailable(f"{self} failed: {_short(error)}. See: deskloom doctor"), None


class Server:
    """A server at an address such as `http://chroma:8000`: `Place`."""

    trusted = _SERVER_TRUSTED

    def __init__(self, url: str, *, shown: str, timeout: float) -> None:
        """`shown` is its host and port, for people; `timeout` the seconds to wait for an answer."""
        self.url = url
        self.shown = shown
        self.timeout = timeout
        self._client: ClientAPI | None = None
        self._sessions: list[httpx.Client] = []

    def __str__(self) -> str:
        return f"Chroma at {self.shown}"

    def open(self) -> ClientAPI:
        """Connect. Raises `WrongProduct` if something else answers there."""
        with httpx.Client(timeout=self.timeout, trust_env=False) as asking:
            answer = asking.get(f"{self.url}/api/v2/heartbeat")
        if answer.status_code >= 500 or answer.status_code == 429:
            raise ServerBusy(answer.status_code)
        if answer.status_code != 200 or "nanosecond heartbeat" not in answer.text:
            raise self._stranger(f"it answers {answer.status_code} to /api/v2/heartbeat")
        client: Any = chromadb.HttpClient(host=self.url, settings=_settings())
        # The client waits for ever, has no setting for that, and leaves its connections open when it is closed
        # (chromadb 1.5: api/fastapi.py).
        self._sessions = [one._server._session for one in (client, client._admin_client)]
        for session in self._sessions:
            session.timeout = httpx.Timeout(self.timeout)
        self._client = client
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[attr-defined]
        for session in self._sessions:
            session.close()

    def meaning(self, failed: Exception, absent: NotFound) -> tuple[DeskloomError, float | None]:
        error = _cause(failed)
        if isinstance(error, NotFoundError):
            return absent, None
        if isinstance(error, httpx.TimeoutException):
            return self._down("did not answer in time"), 0.0
        if isinstance(error, httpx.TransportError):
            return self._down("cannot be reached"), 0.0
        if isinstance(error, AuthorizationError):
            return CredentialsRefused(f"{self} wants credentials, which Deskloom cannot give.", component="index"), None
        if isinstance(error, ChromaAuthError):
            return AccessRefused(f"{self} does not allow this.", component="index"), None
        if isinstance(error, ServerBusy):
            return self._down(f"answered {error.status}"), 0.0
        if isinstance(error, ValueError) and not isinstance(error, ChromaError):  # JSON that is none, among others
            return self._stranger(f"its answers are not Chroma's ({_short(error)})"), None
        passing = type(error) is Exception or (isinstance(error, ChromaError) and error.code() >= 500)
        return self._down(f"failed: {_short(error)}"), 0.0 if passing else None

    def _down(self, what: str) -> IndexUnavailable:
        return IndexUnavailable(f"{self} {what}.", retry_after=_LATER)

    def _stranger(self, why: str) -> WrongProduct:
        return WrongProduct(
            f"{self.shown} is no Chroma server of version 1 or newer: {why}. Set CHROMA_URL to its address, for "
            "example http://chroma:8000",
            component="index",
        )


class ServerBusy(Exception):
    """The server, or a proxy before it, answered with a status that may pass."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered {status}")
        self.status = status


def _open_folder(data: Path) -> ClientAPI:
    try:
        return chromadb.PersistentClient(str(data), settings=_settings())
    except BaseException:
        # What could not be opened stays in Chroma's register of open folders, and every later try would get that.
        for register in (SharedSystemClient._identifier_to_system, SharedSystemClient._identifier_to_refcount):
            register.pop(str(data), None)
        raise


def _remove_leftovers(data: Path) -> None:
    """Chroma 1.5 leaves the files of vectors behind when a collection is removed. Nobody has the folder open now."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(data / 'chroma.sqlite3'))}?mode=ro", uri=True)) as database:
            used = {str(row[0]) for row in database.execute("SELECT id FROM segments")}
    except sqlite3.Error:  # there is none yet, or a crash left it to be rolled back, or it is laid out in another way
        return
    for folder in data.iterdir():
        if _SEGMENT.fullmatch(folder.name) and folder.name not in used:
            shutil.rmtree(folder, ignore_errors=True)


def _is_no_database(error: BaseException | None) -> bool:
    """Whether this error, or one that it came of, says that the file is garbled."""
    while error is not None:
        if "file is not a database" in str(error) or "malformed" in str(error):
            return True
        error = error.__context__
    return False


def _settings() -> ChromaSettings:
    """Nothing is sent to Chroma's makers, and nothing is read from `.env`, which holds our settings."""
    return ChromaSettings(_env_file=None, anonymized_telemetry=False, chroma_otel_collection_endpoint="")


def _cause(failed: Exception) -> BaseException:
    return failed.error if isinstance(failed, Failed) else failed


def _short(error: BaseException) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= _REASON else line[:_REASON] + "…"
