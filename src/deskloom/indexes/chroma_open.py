"""Which Chroma the settings mean: the folder in the home, or the server at CHROMA_URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from deskloom.errors import SettingInvalid
from deskloom.http.timing import Timing
from deskloom.indexes.chroma import ChromaIndex
from deskloom.indexes.chroma_places import Folder, Server
from deskloom.protocols import WordIndex
from deskloom.settings import Settings

_PORT = 8000
_TIMEOUT = 30.0
_EXAMPLE = "for example CHROMA_URL=http://localhost:8000"


def open_chroma(settings: Settings, words: WordIndex, *, timing: Timing | None = None) -> ChromaIndex:
    """The index in the home's folder, or on the server, of which nothing is asked yet; `words` is its word half.

    Raises `HomeInUse`, `IndexUnavailable`, or `SettingInvalid` for an address that cannot be read.
    """
    if settings.chroma_url is None:
        return ChromaIndex(Folder(settings.home / "chroma"), words, timing=timing)
    return ChromaIndex(_server(settings.chroma_url.strip()), words, retries=settings.retries, timing=timing)


def _server(address: str) -> Server:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or (443 if parts.scheme == "https" else _PORT)
    except ValueError:
        raise SettingInvalid(f"CHROMA_URL cannot be read. Set it, {_EXAMPLE}", setting="CHROMA_URL") from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise SettingInvalid(f"CHROMA_URL is not the address of a server. Set it, {_EXAMPLE}", setting="CHROMA_URL")
    if parts.username is not None or parts.password is not None:
        raise SettingInvalid("CHROMA_URL holds credentials, which Chroma does not take.", setting="CHROMA_URL")
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Server(f"{parts.scheme}://{shown}{parts.path.rstrip('/')}", shown=shown, timeout=_TIMEOUT)
