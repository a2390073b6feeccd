"""The tensors of a model's weight files, found without reading them: where each lies, its type and its shape."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deskloom.embedders.torch_file import read_torch_file
from deskloom.errors import ModelDamaged, ModelMissing

FLOATS: Mapping[str, int] = {"F32": 4, "F16": 2, "BF16": 2}
"""Types that a graph can use, as safetensors names them, and their size in bytes."""

_POINTER = b"version https://git-lfs.github.com/spec/"
_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in a file: `offset` in bytes, row-major, little-endian; `dtype` as safetensors names it."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def length(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * FLOATS[self.dtype]

    def read(self) -> NDArray[np.float32]:
        """The tensor itself, in memory."""
        with self.file.open("rb") as file:
            file.seek(self.offset)
            stored = file.read(self.length)
        if self.dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(stored, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return np.frombuffer(stored, "<f4" if self.dtype == "F32" else "<f2").reshape(self.shape).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a model by name, and the files that hold them."""

    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a folder, safetensors before PyTorch's own; none if it has none.

    Of a model in several files (`model.safetensors.index.json`) all; `ModelMissing` if one of them is not there.
    """
    for name in _FILES:
        if (folder / name).exists():
            return (folder / name,)
        index = folder / f"{name}.index.json"
        if index.exists():
            return _shards(index)
    return ()


def read_weights(files: tuple[Path, ...]) -> Weights:
    """Raises `ModelDamaged` for a file that is cut short, or is not what its name says."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        refuse_pointer(file)
        tensors |= _safetensors(file) if file.suffix == ".safetensors" else _torch(file)
        size = file.stat().st_size
        for name, tensor in tensors.items():
            if tensor.file == file and tensor.dtype in FLOATS and tensor.offset + tensor.length > size:
                raise damaged(file, f"ends after {size} bytes, before its tensor {name}: it was not copied whole")
    return Weights(tensors, files)


def damaged(file: Path, what: str, remedy: str = "Copy or download it again.") -> ModelDamaged:
    """The error that says what is wrong with a model's file."""
    return ModelDamaged(f"{file} {what}. {remedy}", file=str(file))


def refuse_pointer(file: Path) -> None:
    """A clone without git-lfs holds small texts in place of large files."""
    with file.open("rb") as opened:
        if opened.read(len(_POINTER)) == _POINTER:
            raise damaged(file, "is a git-lfs pointer, not the file itself", "Run in its folder: git lfs pull")


def read_json(file: Path) -> Any:
    """A JSON file of a model; `ModelDamaged` if it is none."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        refuse_pointer(file)
        raise damaged(file, "is not JSON") from error


def _shards(index: Path) -> tuple[Path, ...]:
    named = read_json(index).get("weight_map", {})
    files = tuple(index.parent / name for name in dict.fromkeys(named.values()))
    if not files:
        raise damaged(index, "names no weight files")
    if absent := [file.name for file in files if not file.is_file()]:
        raise ModelMissing(
            f"Of the {len(files)} weight files in {index.parent}, {len(absent)} are missing ({absent[0]}, …). "
            "Copy or download the rest.",
            folder=str(index.parent),
        )
    return files


def _safetensors(file: Path) -> dict[str, Tensor]:
    """The header: its length as 8 bytes, then JSON with type, shape and place of each tensor."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= size - 8:
            raise damaged(file, "is cut short or not a safetensors file")
        try:
            header = json.loads(opened.read(length))
            header.pop("__metadata__", None)
            return {
                name: Tensor(file, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
                for name, entry in header.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise damaged(file, "is not a safetensors file") from error


def _torch(file: Path) -> dict[str, Tensor]:
    try:
        stored = read_torch_file(file)
    except ValueError as error:
        raise damaged(file, str(error)) from error
    return {name: Tensor(file, one.dtype, one.shape, one.offset) for name, one in stored.items()}
