"""An embedder that runs an encoder from a local folder on onnxruntime, without torch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from deskloom.embedders.graph import BertShape, Pooling, build_graph
from deskloom.errors import EmbedderUnavailable, Unreadable
from deskloom.protocols import Purpose, Vectors

TOKEN_BUDGET = 512
"""Tokens in a batch, padding included: larger batches are no faster on a CPU, and take more memory (VECTORS §2.1)."""


class OnnxEmbedder:
    """Embeds on one thread of its own, batch by batch, so that a query waits for a single batch of a long job.

    `folder` holds `model.safetensors`, `config.json` and `tokenizer.json` of a BERT encoder. The weights are mapped
    from the file and the graph is built in about a millisecond, so nothing derived from the model is kept on disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        max_tokens: int,
        pooling: Pooling,
        languages: frozenset[str] | None = None,
        threads: int = 0,
    ) -> None:
        """`threads` 0: one for each core. Raises `ValueError` or `OSError` for a folder it cannot use."""
        self.name = name
        self.max_tokens = max_tokens
        self.languages = languages
        self._tokenizer = _load_tokenizer(folder)
        self._session = _load_session(folder, pooling, threads)
        self.dimensions = int(self._run([self._tokenizer.encode("")]).shape[1])
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._closed = False

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        """Vectors of shape (len(texts), dimensions); `purpose` makes no difference to a symmetric model.

        Raises `Unreadable` for a text over `max_tokens`, naming its place in `texts`, before anything is computed.
        """
        if self._closed:
            raise EmbedderUnavailable(f'Embedder "{self.name}" is closed. Open it again to embed.')
        loop = asyncio.get_running_loop()
        encodings = await loop.run_in_executor(self._worker, self._encode, texts)
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for batch in batches([len(encoding.ids) for encoding in encodings]):
            chosen = [encodings[place] for place in batch]
            vectors[batch] = await loop.run_in_executor(self._worker, self._run, chosen)
        return vectors

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Character ranges of the text's tokens; see `Embedder`."""
        ranges: list[tuple[int, int]] = self._tokenizer.encode(_printable(text), add_special_tokens=False).offsets
        return ranges

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._worker.shutdown)

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        encodings: list[Encoding] = self._tokenizer.encode_batch([_printable(text) for text in texts])
        for place, encoding in enumerate(encodings):
            if len(encoding.ids) > self.max_tokens:
                raise Unreadable(
                    f'Text {place + 1} of {len(texts)} has {len(encoding.ids)} tokens; embedder "{self.name}" reads '
                    f"at most {self.max_tokens}. Split it first.",
                    tokens=len(encoding.ids),
                    max_tokens=self.max_tokens,
                    place=place,
                )
        return encodings

    def _run(self, encodings: Sequence[Encoding]) -> Vectors:
        length = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), length), np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        vectors: Vectors = self._session.run(["vectors"], {"ids": ids, "mask": mask})[0]
        return vectors


def batches(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> Iterator[list[int]]:
    """Places of texts, the longest first, grouped so that no batch exceeds `budget` tokens when padded.

    Sorted, because padding costs as much as text: unsorted batches are slower than one text at a time (VECTORS §2.1).
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        size = max(1, budget // lengths[order[start]])
        yield order[start : start + size]
        start += size


def _load_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The file of MiniLM cuts at 128 tokens and pads everything to 128 (VECTORS §2.1); neither may happen here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _load_session(folder: Path, pooling: Pooling, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait gain nothing here and take a quarter of the cores from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.absolute()))
    graph = build_graph(folder / "model.safetensors", BertShape.read(folder / "config.json"), pooling)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _printable(text: str) -> str:
    """JSON may carry half a surrogate pair, which the tokenizer refuses; it becomes `?`, so that offsets still fit."""
    return text.encode("utf-8", "replace").decode("utf-8")
