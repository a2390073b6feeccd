"""LangChain's indexing API: SQLRecordManager on SQLite, cleanup "full", vectors cached in SQLite.

Its best settings for this work: cleanup "full" is the one mode that removes what is gone altogether, and
CacheBackedEmbeddings keeps changed metadata, which makes another document of the same text, from embedding it again.
Its cache is SQLStore: with LocalFileStore, which the documentation shows, a kill -9 in mid-write left half a file, and
every later run ended with a JSONDecodeError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.indexes import SQLRecordManager
from langchain_community.storage import SQLStore
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_qdrant import QdrantVectorStore

from deskloom.model import Json
from deskloom.protocols import Embedder

from . import BATCH, Counts, Item
from .embedding import Blocking
from .store import COLLECTION, Store, create, open_client, point_id


class Model(Embeddings):
    """The embedder as LangChain calls it."""

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [row.tolist() for row in self._blocking.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class LangChainPeer(Store):
    """A record manager and a vector store."""

    def __init__(self, folder: Path, embedder: Embedder, *, in_memory: bool) -> None:
        super().__init__(open_client(folder, in_memory=in_memory), _read)
        self._blocking = Blocking(embedder)
        create(self.client, self._blocking.width)
        vectors = SQLStore(namespace="vectors", db_url=f"sqlite:///{folder / 'vectors.db'}")
        vectors.create_schema()
        cached = CacheBackedEmbeddings.from_bytes_store(
            Model(self._blocking), vectors, namespace=embedder.name, key_encoder="sha256"
        )
        self._store = QdrantVectorStore(
            self.client, COLLECTION, cached, validate_embeddings=False, validate_collection_config=False
        )
        self._records = SQLRecordManager("benchmark", db_url=f"sqlite:///{folder / 'records.db'}")
        self._records.create_schema()

    def sync(self, items: Sequence[Item], *, anew: bool = False) -> Counts:
        texts, writes, began = self._blocking.texts, self.client.writes, time.perf_counter()
        index(
            (Document(page_content=item.text, metadata={**item.metadata, "item": item.id}) for item in items),
            self._records,
            self._store,
            batch_size=BATCH,
            cleanup="full",
            force_update=anew,
            key_encoder=_key,
        )
        seconds = time.perf_counter() - began
        return Counts(self._blocking.texts - texts, self.client.writes - writes, seconds)

    def close(self) -> None:
        self.client.close()
        self._blocking.close()


def _key(document: Document) -> str:
    """Of content and metadata, as with its own encoders; of those only SHA-1's makes a UUID, which Qdrant wants."""
    return point_id(json.dumps([document.page_content, document.metadata], sort_keys=True))


def _read(payload: Json) -> tuple[str | None, str | None, Json | None]:
    metadata = dict(payload.get("metadata") or {})
    return metadata.pop("item", None), payload.get("page_content"), metadata


open_peer = LangChainPeer
