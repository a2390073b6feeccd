"""A reader for what `torch.save` wrote (`.bin`, `.pt`), without torch and without running what the file asks for.

The format is a zip whose members are stored uncompressed: a pickle that describes the tensors, and the bytes of each
storage. Only the handful of names that describe tensors are resolved, and none to what the file means by it.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "BoolStorage": "BOOL",
}
_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "I32": 4, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor's type (as safetensors names it), shape, and place in the file in bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str
    offset: int
    items: int


def read_torch_file(file: Path) -> dict[str, StoredTensor]:
    """The tensors of a state dictionary. Raises `ValueError`, whose text continues the file's name."""
    try:
        with zipfile.ZipFile(file) as archive, file.open("rb") as raw:
            return _read(archive, raw)
    except zipfile.BadZipFile as error:
        raise ValueError("is cut short, or was written by a PyTorch older than 1.6") from error
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise ValueError("does not describe tensors in PyTorch's format") from error


def _read(archive: zipfile.ZipFile, raw: IO[bytes]) -> dict[str, StoredTensor]:
    name = next((one for one in archive.namelist() if one.endswith("/data.pkl")), None)
    if name is None:
        raise ValueError("holds no tensors")
    root = name.removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("was written on a big-endian machine")

    def storage(reference: tuple[Any, ...]) -> _Storage:
        _, dtype, key, _, items = reference
        info = archive.getinfo(f"{root}data/{key}")
        if info.compress_type != zipfile.ZIP_STORED or items * _SIZES[dtype] > info.file_size:
            raise ValueError("holds a storage that is compressed or too short")
        return _Storage(dtype, _data_offset(raw, info), items)

    with archive.open(name) as pickled:
        found = _Described(pickled, storage).load()
    if not isinstance(found, Mapping):
        raise ValueError("holds something other than a state dictionary")
    return {key: tensor for key, tensor in found.items() if isinstance(tensor, StoredTensor)}


def _data_offset(raw: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its local header may be longer than the directory says (PyTorch aligns by it)."""
    raw.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", raw.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


class _Described(pickle.Unpickler):
    """Reads the description; every name that is not about tensors is refused."""

    def __init__(self, file: IO[bytes], storage: Callable[[tuple[Any, ...]], _Storage]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        known: Mapping[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) not in known:
            raise ValueError(f"asks for {module}.{name}, which has no place among weights")
        return known[module, name]

    def persistent_load(self, pid: Any, /) -> _Storage:
        return self._storage(pid)


def _tensor(
    storage: _Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> StoredTensor:
    items = math.prod(shape)
    expected = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    laid = [(stride, want) for stride, want, size in zip(strides, expected, shape, strict=True) if size > 1]
    if any(stride != want for stride, want in laid) or start < 0 or start + items > storage.items:
        raise ValueError("holds a tensor that is not stored row by row")
    return StoredTensor(storage.dtype, tuple(shape), storage.offset + start * _SIZES[storage.dtype])


def _parameter(tensor: StoredTensor, *_: object) -> StoredTensor:
    return tensor
