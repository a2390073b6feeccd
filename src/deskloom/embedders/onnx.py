"""An embedder that runs an encoder from a local folder on onnxruntime, without torch."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from deskloom.errors import EmbedderUnavailable, Unreadable
from deskloom.protocols import Purpose, Vectors

TOKEN_BUDGET = 384
"""Tokens in a batch, padding included: larger batches are no faster on a CPU, and take more memory (VECTORS §2.1).
They are also padded more: the texts of 128 tickets by 2.3 % at 512, by 0.8 % at 256."""
KEPT = 1024
"""Texts whose tokens are kept between `offsets` and `embed`: a few batches of documents."""


_BORDER = 8

Ids = NDArray[np.int64]
"""Token ids, or their mask (1: a token, 0: padding): batch × length."""


class Encoder(Protocol):
    """The computation of a model: `encoders` has those there are."""

    alone: bool
    """Whether each text must be computed by itself, for its neighbours in a batch would change its vector."""

    def run(self, ids: Ids, mask: Ids) -> tuple[Vectors, Vectors | None]:
        """Vectors (batch × width, unit length; NaN if they have none) and, of a model that weighs words, the weight of
        each token (batch × length)."""
        ...


class OnnxEmbedder:
    """Embeds on threads of its own. Queries have one apart from those of documents, so they wait for no long job."""

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Tokenizer,
        *,
        name: str,
        max_tokens: int,
        languages: frozenset[str] | None = None,
        prompts: Mapping[Purpose, str] | None = None,
        lanes: int = 1,
    ) -> None:
        """`max_tokens`: what the model reads, special tokens and prompt included; a prompt is put before each text.
        `lanes`: batches of documents computed at once.

        Raises `ValueError` for a model that cannot compute a short text.
        """
        self.name = name
        self.languages = languages
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._kept = _Kept(KEPT)
        self._prompts = {purpose: prompt for purpose, prompt in (prompts or {}).items() if prompt}
        self._limit = max_tokens
        self._special = tokenizer.num_special_tokens_to_add(False)
        prompt = max(map(self._cost, self._prompts.values()), default=0)
        self.max_tokens = max_tokens - prompt - max(0, self._special - 2)
        if self.max_tokens <= 2:
            raise ValueError("its prompts leave no room for a text")
        vectors, _ = self._run([_ids(tokenizer.encode("a printer"))])
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ValueError("the model computes no finite vector for a short text")
        self.dimensions = int(vectors.shape[1])
        self._lanes = lanes
        self._threads = {
            "document": ThreadPoolExecutor(lanes, thread_name_prefix="embedder"),
            "query": ThreadPoolExecutor(1, thread_name_prefix="embedder-query"),
        }
        self._closed = False

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        """Vectors of shape (len(texts), dimensions); `purpose` chooses the prompt, if the model has any.

        Raises `Unreadable` for a text over `max_tokens`, naming its place in `texts`, before anything is computed.
        """
        return (await self.compute(texts, purpose))[0]

    async def compute(
        self, texts: Sequence[str], purpose: Purpose = "document"
    ) -> tuple[Vectors, list[tuple[Sequence[int], Vectors]]]:
        """What `embed` returns and, of a model that weighs words, for each text its token ids and their weights."""
        if self._closed:
            raise EmbedderUnavailable(f'Embedder "{self.name}" is closed. Open it again to embed.')
        loop, threads = asyncio.get_running_loop(), self._threads[purpose]
        encodings = await loop.run_in_executor(threads, self._encode, texts, purpose)
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        words: dict[int, tuple[Sequence[int], Vectors]] = {}
        left = deque(batches([len(ids) for ids in encodings], 1 if self._encoder.alone else TOKEN_BUDGET))

        def work() -> None:
            while left:
                try:
                    batch = left.popleft()
                except IndexError:  # another lane has just taken the last
                    return
                chosen = [encodings[place] for place in batch]
                vectors[batch], weights = self._run(chosen)
                if weights is not None:
                    for place, ids, row in zip(batch, chosen, weights, strict=True):
                        words[place] = ids.tolist(), row[: len(ids)]

        try:
            await asyncio.gather(*(loop.run_in_executor(threads, work) for _ in range(min(self._lanes, len(left)))))
        finally:
            left.clear()  # for a job that failed, or was cancelled
        self._refuse_infinite(vectors)
        return vectors, [words[place] for place in sorted(words)]

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Character ranges of the text's tokens; see `Embedder`."""
        encoding = self._tokenizer.encode(_printable(text))
        if not self._prompts and len(encoding.ids) <= self._limit:  # it is likely to be embedded as it is
            self._kept.put(text, _ids(encoding))
        marks = encoding.special_tokens_mask
        return [
            (start, end) if start < end and not text[start].isspace() else _visible(text, start, end)
            for (start, end), mark in zip(encoding.offsets, marks, strict=True)
            if not mark
        ]

    async def aclose(self) -> None:
        self._closed = True
        for threads in self._threads.values():
            await asyncio.to_thread(threads.shutdown)

    def _encode(self, texts: Sequence[str], purpose: Purpose) -> list[Ids]:
        prompt = self._prompts.get(purpose, "")
        printable = [_printable(text) for text in texts]
        kept = [self._kept.take(text) for text in texts]
        new = [prompt + text for text, ids in zip(printable, kept, strict=True) if ids is None]
        fresh = iter(self._tokenizer.encode_batch(new))
        encodings = [_ids(next(fresh)) if ids is None else ids for ids in kept]
        lengths = [len(ids) - self._special for ids in encodings]
        if self._prompts:  # the limit is the text's own, whatever its purpose and wherever it touches the prompt
            bare = self._tokenizer.encode_batch(printable, add_special_tokens=False)
            lengths = [len(encoding.ids) for encoding in bare]
        for place, (length, ids) in enumerate(zip(lengths, encodings, strict=True)):
            if length + 2 > self.max_tokens or len(ids) > self._limit:
                raise Unreadable(
                    f'Text {place + 1} of {len(texts)} has {length + 2} tokens; embedder "{self.name}" reads '
                    f"at most {self.max_tokens}. Split it first.",
                    tokens=length + 2,
                    max_tokens=self.max_tokens,
                    place=place,
                )
        return encodings

    def _cost(self, prompt: str) -> int:
        """Tokens to keep free for a prompt, with some more: the text's first word may fall into others beside it."""
        return len(self._tokenizer.encode(prompt, add_special_tokens=False).ids) + _BORDER

    def _run(self, encodings: Sequence[Ids]) -> tuple[Vectors, Vectors | None]:
        length = max(map(len, encodings))
        ids = np.zeros((len(encodings), length), np.int64)
        mask = np.zeros_like(ids)
        for row, own in enumerate(encodings):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        return self._encoder.run(ids, mask)

    def _refuse_infinite(self, vectors: Vectors) -> None:
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            place = int(np.argmin(finite))
            raise Unreadable(
                f'Embedder "{self.name}" computes no finite vector for text {place + 1} of {len(vectors)}.', place=place
            )


class _Kept:
    """The tokens of texts that were measured and wait to be embedded, so that no text is tokenized twice."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[str, Ids] = {}
        self._mutex = threading.Lock()  # texts are measured on any thread, and embedded on one

    def put(self, text: str, ids: Ids) -> None:
        with self._mutex:
            self._ids[text] = ids
            if len(self._ids) > self._most:
                del self._ids[next(iter(self._ids))]  # the oldest

    def take(self, text: str) -> Ids | None:
        with self._mutex:
            return self._ids.pop(text, None)


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


def load_session(model: bytes | str, folder: Path | None = None, *, threads: int = 0) -> Any:
    """A session over a serialized model whose tensors lie in `folder`, or over a model file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait gain nothing here and take a quarter of the cores from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # what an exporter left over is no user's concern
    if folder is not None:
        place = str(folder.absolute())
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", place)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _ids(encoding: Encoding) -> Ids:
    return np.array(encoding.ids, np.int64)


def _printable(text: str) -> str:
    """JSON may carry half a surrogate pair, which the tokenizer refuses; it becomes `?`, so that offsets still fit."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _visible(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's range as whoever cuts the text needs it: never empty, and without the space before a word, which some
    tokenizers count in. A token that is nothing but that space stands at the word, from which it must not be cut."""
    at, last = start, min(end + 1, len(text))
    while at < last and text[at].isspace():
        at += 1
    if at == last:
        return (start, end) if start < end else (max(start - 1, 0), start)
    return at, max(end, at + 1)
