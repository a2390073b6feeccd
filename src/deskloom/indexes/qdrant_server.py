"""Which Qdrant server the settings mean, and a client for it."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from qdrant_client import AsyncQdrantClient

from deskloom.errors import SettingInvalid
from deskloom.http.networks import is_private
from deskloom.http.timing import Timing
from deskloom.indexes.qdrant import QdrantIndex
from deskloom.indexes.qdrant_calls import Calls
from deskloom.indexes.qdrant_points import Layout
from deskloom.settings import Settings

_PORT = 6333
_HOST = re.compile(r"[^\s/\\<>\"{}|^`%]+")
_EXAMPLE = "for example QDRANT_URL=http://localhost:6333"


def open_qdrant(settings: Settings, *, timing: Timing | None = None) -> QdrantIndex:
    """The index on the server of QDRANT_URL, or of QDRANT_HOST and QDRANT_PORT. Nothing is asked of it yet.

    Raises `SettingInvalid`: no address, one that cannot be read, or a key that would travel readable.
    """
    parts = _address(settings)
    host, port = parts.hostname or "", parts.port or _PORT
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    if key and parts.scheme == "http" and not is_private(host):
        raise SettingInvalid(
            f"QDRANT_API_KEY would travel readable to {host}. Set QDRANT_URL to its https:// address.",
            setting="QDRANT_URL",
        )
    shown = f"[{host}]" if ":" in host else host
    client = AsyncQdrantClient(
        url=f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}",
        # As a header, or the client warns of plain http, which was decided above.
        headers={"api-key": key} if key else None,
        timeout=settings.qdrant_timeout,
        check_compatibility=False,  # it warns from a thread; the index looks at the version itself
    )
    calls = Calls(address=f"{shown}:{port}", retries=settings.retries, timing=timing or Timing())
    return QdrantIndex(client, layout=_layout(settings), calls=calls)


def _address(settings: Settings) -> SplitResult:
    if settings.qdrant_url:
        name, text = "QDRANT_URL", settings.qdrant_url.strip()
    elif settings.qdrant_host:
        name, text = "QDRANT_HOST", f"{settings.qdrant_host.strip()}:{settings.qdrant_port}"
    else:
        raise SettingInvalid(
            f"DESKLOOM_INDEX is qdrant, but QDRANT_URL is not set. Set it, {_EXAMPLE}", setting="QDRANT_URL"
        )
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port
    except ValueError:
        raise SettingInvalid(f"{name} cannot be read. Set QDRANT_URL, {_EXAMPLE}", setting=name) from None
    named = _HOST.fullmatch(parts.hostname or "")
    if parts.scheme not in ("http", "https") or not named or parts.query or parts.fragment:
        raise SettingInvalid(f"{name} is not the address of a server. Set QDRANT_URL, {_EXAMPLE}", setting=name)
    if parts.username is not None or parts.password is not None:
        raise SettingInvalid(f"{name} holds credentials; the key has its own setting, QDRANT_API_KEY.", setting=name)
    return parts


def _layout(settings: Settings) -> Layout:
    if (settings.qdrant_write_consistency or 1) > (settings.qdrant_replicas or 1):
        raise SettingInvalid(
            f"QDRANT_WRITE_CONSISTENCY is {settings.qdrant_write_consistency}, more than QDRANT_REPLICAS "
            f"({settings.qdrant_replicas or 1}): no write could succeed.",
            setting="QDRANT_WRITE_CONSISTENCY",
        )
    return Layout(
        quantization=settings.qdrant_quantization,
        on_disk=settings.qdrant_on_disk,
        shards=settings.qdrant_shards,
        replicas=settings.qdrant_replicas,
        write_consistency=settings.qdrant_write_consistency,
    )
