"""Where an embedding server is: what people write as its address, made into the one that requests go to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from deskloom.errors import SettingInvalid
from deskloom.http.networks import is_loopback, is_private

OPENAI = "https://api.openai.com/v1"
_SETTING = "DESKLOOM_EMBEDDER_URL"
_VERSION = re.compile(r"/v\d+$")
"""Endings of names that only a private network gives out."""


def read_address(text: str, *, keyed: bool) -> str:
    """The server's address up to and with `/v1`, from an address with or without that, or with `/embeddings`.

    Plain http carries texts of customers, so it is taken on loopback and in private networks only, and on loopback
    only if a key is sent along (`keyed`). Raises `SettingInvalid`.
    """
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise _wrong("The address cannot be read.") from None
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise _wrong("The address names no host.")
    if parts.username is not None or parts.password is not None:
        raise _wrong("The address holds credentials; the key has its own setting, DESKLOOM_EMBEDDER_API_KEY.")
    if parts.query or parts.fragment:
        raise _wrong(f"The address of {host} has a part after its path.")
    scheme = parts.scheme.lower() or ("http" if is_loopback(host) else "https")
    if scheme not in ("http", "https"):
        raise _wrong(f"An address cannot start with {scheme}://.")
    if scheme == "http" and keyed and not is_loopback(host):
        raise _wrong(f"A key is not sent to {host} over plain http, where others can read it.")
    if scheme == "http" and not is_private(host):
        raise _wrong(f"{host} is not in a private network, and over plain http others can read what is sent.")
    path = parts.path.rstrip("/").removesuffix("/embeddings").rstrip("/")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{f':{port}' if port else ''}{path if _VERSION.search(path) else f'{path}/v1'}"


def _wrong(problem: str) -> SettingInvalid:
    return SettingInvalid(
        f"{problem} Set {_SETTING}, for example to https://embeddings.example.com/v1 or http://localhost:8080",
        setting=_SETTING,
    )
