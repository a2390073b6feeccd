"""LlamaIndex's IngestionPipeline: docstore with UPSERTS_AND_DELETE, vectors cached by text, persisted after each run.

Its best settings for this work: ids of nodes computed from those of documents (by default they are random, and a run
that is repeated after a crash adds every point twice), metadata kept out of the text that is embedded, and the cache
of embeddings in place of the cache of transformations, whose key is the whole batch of nodes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import NodeParser
from llama_index.core.node_parser.node_utils import build_nodes_from_splits
from llama_index.core.schema import BaseNode, Document, MetadataMode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr

from deskloom.model import Json
from deskloom.protocols import Embedder

from . import BATCH, Counts, Item
from .embedding import Blocking
from .store import COLLECTION, Store, create, open_client, point_id

VECTOR = "text-dense"


class Model(BaseEmbedding):
    """The embedder as LlamaIndex calls it."""

    _blocking: Blocking = PrivateAttr()

    def __init__(self, blocking: Blocking, **fields: Any) -> None:
        super().__init__(model_name=blocking.name, **fields)
        self._blocking = blocking

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [row.tolist() for row in self._blocking.embed(texts)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class Whole(NodeParser):
    """One node a document: the texts are sections already."""

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **_: Any) -> list[BaseNode]:
        return [
            made
            for node in nodes
            for made in build_nodes_from_splits(
                [node.get_content(metadata_mode=MetadataMode.NONE)], node, id_func=lambda _, of: point_id(of.node_id)
            )
        ]


class LlamaIndexPeer(Store):
    """A pipeline whose docstore and cache live in memory and in two files of JSON."""

    def __init__(self, folder: Path, embedder: Embedder, *, in_memory: bool) -> None:
        super().__init__(open_client(folder, in_memory=in_memory), _read, VECTOR)
        self._folder = folder / "pipeline"
        self._folder.mkdir(exist_ok=True)
        self._blocking = Blocking(embedder)
        create(self.client, self._blocking.width, VECTOR)
        vectors, documents = self._folder / "vectors.json", self._folder / "docstore.json"
        self._cache = SimpleKVStore.from_persist_path(str(vectors)) if vectors.exists() else SimpleKVStore()
        docstore = (
            SimpleDocumentStore.from_persist_path(str(documents)) if documents.exists() else SimpleDocumentStore()
        )
        self._pipeline = IngestionPipeline(
            transformations=[Whole(), Model(self._blocking, embed_batch_size=BATCH, embeddings_cache=self._cache)],
            docstore=docstore,
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
            vector_store=QdrantVectorStore(COLLECTION, client=self.client, batch_size=BATCH),
            disable_cache=True,
        )

    def sync(self, items: Sequence[Item], *, anew: bool = False) -> Counts:
        texts, writes, began = self._blocking.texts, self.client.writes, time.perf_counter()
        if anew:  # it has no such option: one forgets what was done
            self._pipeline.docstore = SimpleDocumentStore()
        self._pipeline.run(documents=[_document(item) for item in items])
        assert self._pipeline.docstore is not None
        for store, name in ((self._pipeline.docstore, "docstore.json"), (self._cache, "vectors.json")):
            # Persisting writes the file in place; a kill in the midst of that would leave half of it.
            store.persist(str(self._folder / f"{name}.new"))
            os.replace(self._folder / f"{name}.new", self._folder / name)
        seconds = time.perf_counter() - began
        return Counts(self._blocking.texts - texts, self.client.writes - writes, seconds)

    def close(self) -> None:
        self.client.close()
        self._blocking.close()


def _document(item: Item) -> Document:
    return Document(
        doc_id=item.id, text=item.text, metadata=dict(item.metadata), excluded_embed_metadata_keys=list(item.metadata)
    )


def _read(payload: Json) -> tuple[str | None, str | None, Json | None]:
    try:
        content = json.loads(payload.get("_node_content") or "{}")
    except ValueError:
        content = {}
    return payload.get("doc_id"), content.get("text"), content.get("metadata")


open_peer = LlamaIndexPeer
