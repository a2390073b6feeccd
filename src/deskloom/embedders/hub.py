"""Downloading a model's files from a model hub: resumed where they broke off, and kept only with the pinned hash."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from deskloom.embedders.published import Hub, Model, Progress, sha256_of
from deskloom.errors import ModelDamaged, ModelMissing

ENDPOINT = "https://huggingface.co"
TRIES = 5
"""Times in a row that a download may break off without having brought a byte."""
_PIECE = 1 << 20
_PATIENCE = httpx.Timeout(30, connect=10)


class _Interrupted(Exception):
    """A download broke off, or the hub is out of order: worth another try. The text says what happened."""


def fetch_from_hub(
    model: Model,
    origin: Hub,
    models: Path,
    *,
    hub: str | None = None,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Puts the model's files in its folder. What a try brought waits in a hidden folder beside it for the next.

    Raises `ModelMissing` if the hub cannot be reached or lacks a file, `ModelDamaged` if it sends another one, and
    `OSError` if there is no room.
    """
    folder, scratch = models / model.name, models / f".{model.name}.partial"
    wanted = [name for name, (_, digest) in model.files.items() if not _is(folder / name, digest)]
    here = sum((folder / name).stat().st_size for name in model.files.keys() - set(wanted))
    kept = sum(file.stat().st_size for file in scratch.rglob("*") if file.is_file())
    if shutil.disk_usage(models).free < model.size - here - kept:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    address = (hub or os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    with httpx.Client(follow_redirects=True, timeout=_PATIENCE) as client:
        for name in wanted:
            path, digest = model.files[name]
            file = scratch / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if not _is(file, digest):
                download = _Download(client, f"{address}/{origin.repository}/resolve/{origin.revision}/{path}", file)
                _complete(model, models, address, download, digest, pause, _counting(progress, here, model.size))
            here += file.stat().st_size
    if not folder.exists():
        scratch.rename(folder)
        return
    for name in wanted:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).replace(folder / name)
    shutil.rmtree(scratch, ignore_errors=True)


def _complete(
    model: Model,
    models: Path,
    address: str,
    download: _Download,
    digest: str,
    pause: Callable[[float], None],
    count: Callable[[int], None],
) -> None:
    """Resumes until the file is whole; only tries that bring nothing are limited."""
    vain = 0
    while True:
        before = download.size
        try:
            found = download.resume(count)
            break
        except (_Interrupted, httpx.HTTPError) as error:
            vain = 0 if download.size > before else vain + 1
            nobody = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and download.size == 0
            hopeless = isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects)
            if hopeless or vain == (2 if nobody else TRIES):
                why = str(error) if isinstance(error, _Interrupted) else type(error).__name__
                raise _unreachable(model, models, address, why) from error
            pause(min(2**vain, 30))
        except LookupError as error:
            raise _unreachable(model, models, address, str(error)) from error
    if found != digest:
        download.part.unlink()
        raise ModelDamaged(
            f'{address} sent {download.file.name} of model "{model.name}" with another content than was published. '
            f"It was not kept. Try again, or another hub (HF_ENDPOINT): deskloom models get {model.name}",
            model=model.name,
        )
    download.part.rename(download.file)


class _Download:
    """One file on its way; `part` holds what has come so far."""

    def __init__(self, client: httpx.Client, url: str, file: Path) -> None:
        self.file = file
        self.part = file.with_name(file.name + ".part")
        self._client = client
        self._url = url

    @property
    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def resume(self, count: Callable[[int], None]) -> str:
        """The sha256 of the whole file. Raises `_Interrupted`, `httpx.HTTPError`, or `LookupError` for no such file."""
        size = self.size
        # Compressed on the way, a part would be no part of the file.
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={size}-"} if size else {})
        with self._client.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code == 416:  # all of it was here already, or more than there is
                return self._digest_of_all(size, answer)
            if answer.status_code in (401, 403, 404, 410):
                raise LookupError(f"it answers {answer.status_code} for {self.file.name}")
            if answer.status_code not in (200, 206):
                raise _Interrupted(f"it answers {answer.status_code}")
            resumed = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(f"bytes {size}-")
            if answer.status_code == 206 and not resumed:
                self.part.unlink(missing_ok=True)
                raise _Interrupted("it sent another part than was asked for")
            digest = hashlib.sha256()
            if resumed:
                with self.part.open("rb") as file:
                    while piece := file.read(_PIECE):
                        digest.update(piece)
            with self.part.open("ab" if resumed else "wb") as file:
                for piece in answer.iter_bytes():  # as it comes, so that nothing is lost when it breaks off
                    file.write(piece)
                    digest.update(piece)
                    count(file.tell())
        return digest.hexdigest()

    def _digest_of_all(self, size: int, answer: httpx.Response) -> str:
        if answer.headers.get("content-range") != f"bytes */{size}":
            self.part.unlink(missing_ok=True)
            raise _Interrupted("it has less than an earlier download brought")
        return sha256_of(self.part)


def _counting(progress: Progress | None, before: int, total: int) -> Callable[[int], None]:
    return (lambda size: progress(before + size, total)) if progress else (lambda size: None)


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and sha256_of(file) == digest


def _unreachable(model: Model, models: Path, address: str, why: str) -> ModelMissing:
    host = httpx.URL(address).host or address
    return ModelMissing(
        f'Model "{model.name}" could not be downloaded from {host}: {why}. What came is kept; try again: deskloom '
        f"models get {model.name}. Without a network, copy the folder from a machine that has it to "
        f"{models / model.name}, or name it in DESKLOOM_EMBEDDER; another hub goes in HF_ENDPOINT.",
        model=model.name,
        folder=str(models / model.name),
    )
