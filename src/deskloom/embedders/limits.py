"""What an embedding server says of its own limits; each kind of server says it elsewhere, and some say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deskloom.embedders.address import OPENAI
from deskloom.embedders.endpoint import Endpoint

UNKNOWN = 512
"""Tokens that every common embedding model reads; taken where neither server nor settings say more."""
_OPENAI = 8191
"""Of text-embedding-ada-002 and text-embedding-3-* (platform.openai.com/docs/guides/embeddings)."""
_OLLAMA_CONTEXT = 2048
"""The least that any release of Ollama gives a model to read, whatever the model could read. Since 0.15.5 it is 4,096
or more, by the memory of the GPU, but nothing tells how much (github.com/open-webui/docs/pull/1393)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens of one text, and texts of one request; None: the server does not say."""

    tokens: int | None = None
    texts: int | None = None


async def ask_limits(endpoint: Endpoint) -> Limits:
    """The limits of a server, from the first of its own descriptions that tells; nothing here can fail."""
    if urlsplit(endpoint.url).hostname == urlsplit(OPENAI).hostname:
        return Limits(tokens=_OPENAI)
    about = await endpoint.ask("GET", "/../info") or {}  # text-embeddings-inference
    if tokens := _count(about.get("max_input_length")):
        return Limits(tokens, _count(about.get("max_client_batch_size")))
    about = await endpoint.ask("GET", "/models") or {}  # vLLM
    listed = about.get("data")
    for model in listed if isinstance(listed, list) else []:
        if isinstance(model, dict) and model.get("id") == endpoint.model and _count(model.get("max_model_len")):
            return Limits(_count(model.get("max_model_len")))
    about = await endpoint.ask("POST", "/../api/show", {"model": endpoint.model}) or {}
    return Limits(_ollama(about))


def _ollama(about: dict[str, Any]) -> int | None:
    """The smaller of what the model can read and what Ollama lets it read (its parameter `num_ctx`)."""
    facts, parameters = about.get("model_info"), about.get("parameters")
    if not isinstance(facts, dict):
        return None
    length = next(
        (count for name, one in facts.items() if name.endswith(".context_length") and (count := _count(one))), None
    )
    if length is None:
        return None
    words = parameters.split() if isinstance(parameters, str) else []
    told = words[words.index("num_ctx") + 1 :][:1] if "num_ctx" in words else []
    return min(length, int(told[0]) if told and told[0].isdecimal() else _OLLAMA_CONTEXT)


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
