"""Which embedding model: what a person types, and what the record keeps of it for each collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from deskloom.embedders.address import OPENAI, read_address
from deskloom.errors import SettingInvalid
from deskloom.model import Json
from deskloom.settings import Settings

Kind = Literal["minilm", "bge-m3", "folder", "openai"]
KINDS: tuple[str, ...] = get_args(Kind)
_SETTING = "DESKLOOM_EMBEDDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model: `path` of a folder (absolute), `model` at a server and the server's `url` (up to and with `/v1`).

    Two choices are equal if they name the same model: a server that moves serves what it served before.
    """

    kind: Kind
    path: str | None = None
    url: str | None = field(default=None, compare=False)
    model: str | None = None

    def __str__(self) -> str:
        """As a person would type it."""
        return self.path or (f"openai:{self.model}" if self.kind == "openai" else self.kind)

    @property
    def host(self) -> str:
        """The server, as people are told of it; empty for a model on this machine."""
        return urlsplit(self.url or "").netloc

    def to_json(self) -> Json:
        """What `from_json` reads; no key is part of a choice."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Choice:
        """Raises `SettingInvalid` for a choice that this version does not know."""
        if stored.get("kind") not in KINDS or not stored.keys() <= {"kind", "path", "url", "model"}:
            raise SettingInvalid(
                f"The record names an embedding model that this version does not know: {stored.get('kind')}. "
                "Use the version that wrote it, or reindex: deskloom reindex --embedder minilm",
                setting=_SETTING,
            )
        return cls(**stored)  # type: ignore[arg-type]


def choose(settings: Settings, text: str | None = None) -> Choice:
    """The model that `text` means, or the settings: `minilm`, `bge-m3`, a folder, `openai` or `openai:MODEL`.

    Nothing is opened. Raises `SettingInvalid`, which names the choices and the nearest right one.
    """
    text = (settings.embedder if text is None else text).strip()
    local: Kind
    for local in ("minilm", "bge-m3"):
        if text == local:
            return Choice(kind=local)
    kind, _, model = text.partition(":")
    if kind == "openai":
        return _server(settings, model.strip() or settings.embedder_model)
    folder = Path(text).expanduser()
    if text and (folder.is_dir() or "/" in text or text in (".", "~")):
        return Choice(kind="folder", path=str(folder.absolute()))
    near = get_close_matches(text.casefold(), ("minilm", "bge-m3", "openai", "openai:"), n=1, cutoff=0.4)
    hint = f' Did you mean "{near[0].rstrip(":")}"?' if near else ""
    raise SettingInvalid(
        f'"{text}" is no embedding model.{hint} Choose minilm, bge-m3, openai (or openai:MODEL) for a server, '
        "or a model folder, for example ./models/e5-base",
        setting=_SETTING,
    )


def _server(settings: Settings, model: str | None) -> Choice:
    if not model:
        raise SettingInvalid(
            "The embedding server is not told which model to use. Set DESKLOOM_EMBEDDER_MODEL, for example to "
            "text-embedding-3-small",
            setting="DESKLOOM_EMBEDDER_MODEL",
        )
    url = settings.embedder_url or OPENAI
    return Choice(kind="openai", url=read_address(url, keyed=settings.embedder_api_key is not None), model=model)
