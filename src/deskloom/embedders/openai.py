"""An embedder behind HTTP: any server that answers `/v1/embeddings` as OpenAI does.

OpenAI itself, text-embeddings-inference, Ollama, vLLM, Infinity. Texts go out in batches; a batch that the server
cannot take is halved until the text at fault is alone, and all others keep their vectors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from deskloom.embedders.endpoint import Doubtful, Endpoint, Patience
from deskloom.embedders.estimate import token_ranges
from deskloom.embedders.limits import UNKNOWN, ask_limits
from deskloom.errors import DeskloomError, EmbedderUnavailable, TextsRefused, Unreadable
from deskloom.http.timing import Timing
from deskloom.protocols import Purpose, Vectors

BATCH_TEXTS = 32
"""Texts in a request: what text-embeddings-inference takes unless told otherwise (its max_client_batch_size)."""
BATCH_TOKENS = 8192
"""Tokens in a request, as estimated: enough to keep a GPU busy, few enough for a CPU to answer in time."""
PROBE = "The printer on the second floor has been offline since this morning."
"""Tells how wide the vectors are, whether the server works at all, and whether it is still the same model. No hash of
its vector is part of the name: servers differ by 1e-4 from batch to batch, and rounding only makes a leap rarer."""
SAME = 0.999
"""Cosine above which two vectors of one text come from one model: rounding on other hardware stays above (16-bit
floats: 0.9998), other weights and 8-bit quantization (0.9935, VECTORS §2.1) stay below."""
_BLANK = "."
"""What is sent for a text without content: servers refuse empty ones."""


@dataclass(slots=True)
class _Job:
    """One call of `embed`: what to send, the rows that came back, and why some did not."""

    texts: Sequence[str]
    rows: Vectors
    patience: Patience
    refused: dict[int, str] = field(default_factory=dict)


class HttpEmbedder:
    """Embeds at one server with one model. Opened by `open_openai`, or by its first use if the server was down.

    `name` is the model's name at the server and its width: the same model elsewhere has the same name. That it is the
    same is checked with a probe text whenever the server was out of reach, and against what it was before (`expect`).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dimensions: int = 0,
        max_tokens: int | None = None,
        concurrency: int = 8,
        retries: int = 3,
        timeout: timedelta = timedelta(seconds=120),
    ) -> None:
        """`dimensions` 0: as the server says. `timeout` is for one try at documents; a query waits a tenth of it."""
        self.endpoint = endpoint
        self._fix_width(dimensions)
        self.max_tokens = max_tokens or UNKNOWN
        self.languages: frozenset[str] | None = None
        self._told_tokens = max_tokens
        self._most = BATCH_TEXTS
        self._slots = asyncio.Semaphore(concurrency)
        self._turn = asyncio.Lock()
        self.probe: Vectors | None = None
        """The unit vector of `PROBE`, shape (width,), once the server was asked."""
        self._expected: Vectors | None = None
        self._closed = False
        seconds = timeout.total_seconds()
        self._documents = Patience(tries=retries + 1, seconds=seconds, longest_wait=300)
        self._start = Patience(tries=min(retries, 1) + 1, seconds=min(seconds, 60), longest_wait=10, rate_limits=1)
        self._query = Patience(tries=min(retries, 1) + 1, seconds=seconds / 10, longest_wait=3, rate_limits=1)

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        """Unit vectors of shape (len(texts), dimensions). `purpose` changes how long is waited, not what is sent.

        Raises `Unreadable` for a text over `max_tokens`, naming its place in `texts`, before anything is sent;
        `TextsRefused` with the vectors of the other texts for those that the server cannot take;
        `EmbedderUnavailable`, `CredentialsRefused` or `SettingInvalid` if the server cannot be used.
        """
        if self._closed:
            raise EmbedderUnavailable(f'Embedder "{self.name}" is closed. Open it again to embed.')
        patience = self._query if purpose == "query" else self._documents
        await self.check(patience)
        sent, lengths = await asyncio.to_thread(self._prepare, texts)
        job = _Job(sent, np.zeros((len(texts), self.dimensions), np.float32), patience)
        try:
            async with asyncio.TaskGroup() as group:
                for places in batches(lengths, self._most):
                    group.create_task(self._send(job, places, queued=purpose == "document"))
        except* DeskloomError as failed:
            raise failed.exceptions[0] from None
        await self.check(patience)  # the server may have gone and come back under way
        if job.refused:
            raise self._refusal(job)
        return job.rows

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Character ranges of the tokens that the text has at most (`estimate`); see `Embedder`."""
        return token_ranges(text)

    async def check(self, patience: Patience | None = None) -> None:
        """Learn width and limits at the first use, and after an outage make sure that the same model answers.

        Raises what `embed` raises for a server that cannot be used, by default after 2 tries.
        """
        patience = patience or self._start
        if self.probe is not None and not self.endpoint.lost:
            return
        async with self._turn:
            if self.probe is None:
                await self._learn(patience)
            elif self.endpoint.lost:
                await self._compare(self.probe, patience)

    def expect(self, probe: Vectors) -> None:
        """Tell what the vector of `PROBE` was when the index was made. Another model raises `EmbedderUnavailable`: now,
        or at the first use if the server was out of reach."""
        self._expected = probe
        if self.probe is not None:
            self._require_same(probe, self.probe)

    async def aclose(self) -> None:
        self._closed = True
        await self.endpoint.aclose()

    # --------------------------------------------------------------------------------------------------- the server

    async def _learn(self, patience: Patience) -> None:
        probe = await self._ask_probe(patience)
        if self._expected is not None:
            self._require_same(self._expected, probe)
        limits = await ask_limits(self.endpoint)
        self.max_tokens = self._told_tokens or limits.tokens or UNKNOWN
        self._most = min(BATCH_TEXTS, limits.texts or BATCH_TEXTS)
        self._fix_width(len(probe))
        self.probe, self.endpoint.lost = probe, False

    def _fix_width(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.name = f"openai:{self.endpoint.model}@{dimensions}"

    async def _compare(self, known: Vectors, patience: Patience) -> None:
        self._require_same(known, await self._ask_probe(patience))
        self.endpoint.lost = False

    def _require_same(self, known: Vectors, now: Vectors) -> None:
        if not same_model(known, now):
            raise self.endpoint.unavailable(
                f'serves another model under the name "{self.endpoint.model}": its vectors cannot be compared with '
                "those of before. Serve the model of before, or give this one another name and reindex: "
                "deskloom reindex --embedder openai:NAME"
            )

    async def _ask_probe(self, patience: Patience) -> Vectors:
        """The unit vector of the probe text, which no working server refuses."""
        try:
            rows = self._of_width(await self.endpoint.embed([PROBE], patience))
        except Doubtful as error:
            raise self.endpoint.unavailable(
                f"{error.what}, even to a plain short text. Look into its log; what was not embedded is embedded later."
            ) from None
        unit, whole = _units(rows)
        if not whole[0]:
            raise self.endpoint.unavailable(
                "answers with vectors that are not numbers, or zero, even to a plain short text. Look into its log, "
                "and try another precision there (16-bit floats can overflow)."
            )
        vector: Vectors = unit[0]
        return vector

    def _of_width(self, rows: Vectors) -> Vectors:
        if self.dimensions and rows.shape[1] != self.dimensions:
            raise self.endpoint.unavailable(
                f'answers with vectors of width {rows.shape[1]}; those of model "{self.endpoint.model}" had '
                f"{self.dimensions}. Serve the model of before, or reindex: deskloom reindex --embedder openai:MODEL"
            )
        return rows

    # ---------------------------------------------------------------------------------------------------- the texts

    def _prepare(self, texts: Sequence[str]) -> tuple[list[str], list[int]]:
        lengths = [len(token_ranges(text)) + 2 for text in texts]
        for place, length in enumerate(lengths):
            if length > self.max_tokens:
                raise Unreadable(
                    f'Text {place + 1} of {len(texts)} may have {length} tokens; embedder "{self.name}" reads at most '
                    f"{self.max_tokens}. Split it first.",
                    tokens=length,
                    max_tokens=self.max_tokens,
                    place=place,
                )
        return [_sendable(text) for text in texts], lengths

    async def _send(self, job: _Job, places: Sequence[int], *, queued: bool) -> None:
        """One batch. A query does not queue behind documents."""
        if not queued:
            return await self._fill(job, places, job.patience)
        async with self._slots:
            await self._fill(job, places, job.patience)

    async def _fill(self, job: _Job, places: Sequence[int], patience: Patience, *, whole: bool = True) -> None:
        """Put the vectors of the texts at `places` into the job. `whole`: these were not halved before."""
        try:
            rows = await self.endpoint.embed([job.texts[place] for place in places], patience)
        except Doubtful as doubt:
            await self._divide(job, places, doubt, whole=whole)
            return
        units, usable = _units(self._of_width(rows))
        for place, unit, good in zip(places, units, usable, strict=True):
            if good:
                job.rows[place] = unit
        bad = [place for place, good in zip(places, usable, strict=True) if not good]
        if bad:
            await self._ask_probe(job.patience)  # raises if the server does this to every text
            for place in bad:
                if len(places) == 1:
                    job.refused[place] = "answers it with a vector that is not numbers, or zero"
                else:
                    await self._fill(job, [place], _again(patience), whole=False)

    async def _divide(self, job: _Job, places: Sequence[int], doubt: Doubtful, *, whole: bool) -> None:
        """Find out which text a failed request failed for. A server that fails for all of them is not halved at."""
        if whole or (len(places) == 1 and not doubt.refused):
            await self._ask_probe(job.patience)
        if len(places) == 1:
            job.refused[places[0]] = f"{doubt.what} to it"
            return
        before, half = len(job.refused), len(places) // 2
        for part in (places[:half], places[half:]):
            await self._fill(job, part, _again(job.patience), whole=False)
        if doubt.refused and len(job.refused) == before and len(places) == self._most:
            self._most = max(1, half)  # nothing was wrong with the texts: it was their number

    def _refusal(self, job: _Job) -> TextsRefused:
        first, why = min(job.refused.items())
        host = self.endpoint.title
        reasons = {
            place: f"{host} {why}. If it is too long for the model, set DESKLOOM_EMBEDDER_MAX_TOKENS lower."
            for place, why in job.refused.items()
        }
        return TextsRefused(
            f"{host} {why}: text {first + 1} of {len(job.texts)}, and {len(job.refused) - 1} others.",
            refused=reasons,
            vectors=job.rows,
            place=first,
        )


async def open_openai(
    url: str,
    model: str,
    *,
    api_key: str | None = None,
    max_tokens: int | None = None,
    dimensions: int = 0,
    concurrency: int = 8,
    retries: int = 3,
    timeout: timedelta = timedelta(seconds=120),
    timing: Timing | None = None,
) -> HttpEmbedder:
    """Connect to a server, learn the width of its vectors and its limits. Raises what `HttpEmbedder.check` raises.

    With `dimensions` (known from before) a server that is out of reach raises only when it is used.
    """
    endpoint = Endpoint(url, model, api_key=api_key, connections=concurrency + 4, timing=timing)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(endpoint.aclose)
        embedder = HttpEmbedder(
            endpoint,
            dimensions=dimensions,
            max_tokens=max_tokens,
            concurrency=concurrency,
            retries=retries,
            timeout=timeout,
        )
        try:
            await embedder.check()
        except EmbedderUnavailable:
            if not dimensions or not endpoint.lost:
                raise
        stack.pop_all()
    return embedder


def same_model(first: Vectors, second: Vectors) -> bool:
    """Whether two unit vectors of one text, shape (width,), can come from one model."""
    return first.shape == second.shape and float(first @ second) >= SAME


def batches(lengths: Sequence[int], most: int = BATCH_TEXTS, budget: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Places of texts, the longest first (servers that pad, pad little), at most `most` and `budget` tokens a batch."""
    batch: list[int] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) == most or tokens + lengths[place] > budget):
            yield batch
            batch, tokens = [], 0
        batch.append(place)
        tokens += lengths[place]
    if batch:
        yield batch


def _units(rows: Vectors) -> tuple[Vectors, list[bool]]:
    """Rows made unit length, and which of them could be."""
    wide = rows.astype(np.float64)  # whose squares do not overflow
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norms = np.sqrt(np.sum(wide * wide, axis=1))
        units: Vectors = (wide / norms[:, None]).astype(np.float32)
    return units, [bool(good) for good in np.isfinite(norms) & (norms > 1e-12)]


def _again(patience: Patience) -> Patience:
    """For parts of a batch that failed as a whole, with patience: one more try only."""
    return replace(patience, tries=min(patience.tries, 2))


def _sendable(text: str) -> str:
    """JSON may carry half a surrogate pair, which UTF-8 cannot; it becomes `?`. Servers refuse an empty text."""
    return text.encode("utf-8", "replace").decode("utf-8") if text.strip() else _BLANK
