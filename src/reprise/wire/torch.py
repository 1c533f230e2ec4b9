"""PyTorch's files as data: the pickled object, and the storages that its tensors are views of.

`torch.save` writes a zip archive (since 1.6) with `data.pkl` and one member for each storage, or, before that, pickles
one after the other in one file, the storages at its end. No class of a file is imported and nothing of it is run.
Sources: torch/serialization.py, torch/_utils.py (2.13).
"""

from __future__ import annotations

import io
import math
import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reprise import bounds
from reprise.errors import DamagedFile
from reprise.tensors import DTYPES, Array, Tensor
from reprise.wire import pickle
from reprise.wire.pickle import Class, Record
from reprise.wire.varint import Cut

#: What the first pickle of a file of the older kind holds, and how such a file begins.
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_HEAD = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
#: The classes of storages, and the element type of each.
_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
#: Functions that stand for a tensor; their first arguments are a storage, an offset, sizes and strides.
_VIEWS = frozenset({"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"})
#: Functions whose first argument is the tensor that they stand for.
_WRAPPERS = frozenset({"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"})

#: How deep objects may lie in each other.
_DEEPEST = 200

#: Element type and key of a storage → its numbers, as the file holds them.
Numbers = Callable[[str, str], Array]


class _Storage(NamedTuple):
    """A storage: its element type, and the key of its numbers."""

    dtype: str
    key: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of PyTorch.

    Attributes:
        root: What was saved: plain data, tensors, and records of objects of other classes.
        code: The source of a TorchScript program by its path in the archive; empty where there is none.
        constants: The constants of such a program.
    """

    root: Any
    code: Mapping[str, str]
    constants: Any = None


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive that PyTorch wrote; nothing but the names of its members is read."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in _names(path))


def is_program(path: Path) -> bool:
    """Whether a file is an archive of `torch.jit.save`, which holds the source of a program."""
    return is_archive(path) and any(re.fullmatch(r"[^/]*/code/.+\.py", name) for name in _names(path))


def _names(path: Path) -> list[str]:
    """The names of the members of a zip archive; none where a file is no such archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return []


#: What reading an archive raises that is damaged, compressed in a strange way, or says that it is encrypted.
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def is_legacy(path: Path) -> bool:
    """Whether a file begins with the pickled number of the older kind."""
    try:
        with path.open("rb") as file:
            return file.read(2 + len(_LEGACY_HEAD))[2:] == _LEGACY_HEAD
    except OSError:
        return False


def read(path: Path) -> Archive:
    """The content of a file; the numbers of tensors are read when they are asked for.

    Raises:
        DamagedFile: It is not a complete file of PyTorch, or holds a tensor of a kind that is not read.
    """
    return _read(str(path), lambda: _mapped(path), path.name)


def read_within(content: memoryview, name: str) -> Archive:
    """The content of a file that lies in another one.

    Args:
        content: The file.
        name: What it is called, for messages.

    Raises:
        DamagedFile: As `read`.
    """
    return _read(name, lambda: content, name)


def _read(path: str, content: Callable[[], memoryview], name: str) -> Archive:
    try:
        data = content()
        return _read_zip(data, name) if bytes(data[:4]) == b"PK\x03\x04" else _read_legacy(data, name)
    except (*_FAULTS, Cut, ValueError, KeyError, TypeError, IndexError, struct.error, OSError) as error:
        raise DamagedFile(
            f"{path}: is not a complete PyTorch file ({error}). It is cut or changed; copy it again."
        ) from error


# Zip archives


class _Stream(io.RawIOBase):
    """Bytes in memory as a file, without a copy of them."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data, self._at = data, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _read_zip(data: memoryview, file: str) -> Archive:
    with zipfile.ZipFile(io.BufferedReader(_Stream(data))) as archive:
        members = {name.partition("/")[2]: archive.getinfo(name) for name in archive.namelist()}
        order = _member(archive, members["byteorder"]) if "byteorder" in members else b"little"
        if order != b"little":
            raise ValueError(f"its numbers are {order[:12]!r} endian")
        root = _one(_member(archive, members["data.pkl"]))
        constants = _one(_member(archive, members["constants.pkl"])) if "constants.pkl" in members else None
        code = {
            n: _member(archive, i).decode() for n, i in members.items() if n.startswith("code/") and n.endswith(".py")
        }
    held = {name: _place(data, info) for name, info in members.items()}

    def numbers(folder: str) -> Numbers:
        return lambda dtype, key: np.frombuffer(_slice(data, *held[f"{folder}/{key}"]), DTYPES[dtype].newbyteorder("<"))

    found = _with_tensors(root, numbers("data"), file)
    return Archive(found, code, _with_tensors(constants, numbers("constants"), file))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member, stored as PyTorch stores it: what is compressed could be of any size."""
    if info.compress_type != zipfile.ZIP_STORED and info.file_size > 100 * info.compress_size + 4096:
        raise ValueError(
            f"member {info.filename!r} says that it grows from {info.compress_size} to {info.file_size} bytes"
        )
    return archive.read(info)


def _place(data: memoryview, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a member that is stored as it is begin in the file, and how many they are."""
    if info.compress_type != zipfile.ZIP_STORED:
        return 0, 0
    at = info.header_offset
    name, extra = struct.unpack("<HH", _slice(data, at + 26, 4))
    return at + 30 + name + extra, info.file_size


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _slice(data: memoryview, begin: int, length: int) -> memoryview:
    if begin + length > len(data):
        raise Cut("a storage ends after the file")
    return data[begin : begin + length]


def _one(data: bytes) -> Any:
    return pickle.load(data)[0]


# Files of the older kind


def _read_legacy(data: memoryview, file: str) -> Archive:
    objects, end = pickle.load_first(bytes(data), 5)
    magic, _version, _system, root, keys = objects
    if magic != _MAGIC:
        raise ValueError("it does not begin as such a file does")
    sizes = {key: DTYPES[dtype].itemsize for dtype, key in _storages(root)}
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        (count,) = struct.unpack("<q", _slice(data, end, 8))
        places[str(key)] = end + 8, count * sizes[str(key)]
        end += 8 + count * sizes[str(key)]

    def numbers(dtype: str, key: str) -> Array:
        return np.frombuffer(_slice(data, *places[key]), DTYPES[dtype].newbyteorder("<"))

    return Archive(_with_tensors(root, numbers, file), {})


def _storages(root: Any) -> set[_Storage]:
    """The storages that an object's tensors are views of."""
    found = set[_Storage]()
    _replaced(root, lambda record: found.add(_storage(record)) if record.name == pickle.PERSISTENT else None)
    return found


# Tensors


def _with_tensors(root: Any, numbers: Numbers, file: str) -> Any:
    """`root` with a Tensor for every record that stands for one."""
    return _replaced(root, lambda record: _tensor(record, numbers, file))


def _replaced(value: Any, change: Callable[[Record], Any], depth: int = 0) -> Any:
    """`value` with what `change` makes of its records, those kept for which it gives None."""
    if depth > _DEEPEST:
        raise ValueError(f"objects are nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        return {k: _replaced(v, change, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and not isinstance(value, Class):
        return type(value)(_replaced(v, change, depth + 1) for v in value)
    if not isinstance(value, Record):
        return value
    other = change(value)
    if other is not None:
        return other
    arguments = tuple(_replaced(v, change, depth + 1) for v in value.arguments)
    return Record(value.name, arguments, _replaced(value.state, change, depth + 1))


def _tensor(record: Record, numbers: Numbers, file: str) -> Tensor | None:
    if record.name in _WRAPPERS and isinstance(record.arguments[0], Record):
        return _tensor(record.arguments[0], numbers, file)
    if record.name not in _VIEWS:
        return None
    held, offset, sizes, strides = record.arguments[:4]
    storage = _storage(held)
    shape, steps = tuple(map(int, sizes)), tuple(map(int, strides))
    source = f"{file}, storage {storage.key}"
    return strided(storage.dtype, shape, steps, offset, lambda: numbers(storage.dtype, storage.key), source)


def strided(
    dtype: str, shape: tuple[int, ...], steps: tuple[int, ...], offset: int, numbers: Callable[[], Array], source: str
) -> Tensor:
    """A tensor that is a view of a storage.

    Args:
        dtype: Its element type.
        shape: Its sizes.
        steps: How far the next number along each axis lies.
        offset: Where in the storage it begins.
        numbers: Gives the storage.
        source: What the storage is called, for messages.

    Raises:
        ValueError: No tensor has such sizes.
    """
    if len(shape) != len(steps) or min((offset, *shape, *steps)) < 0:
        raise ValueError(f"a tensor of sizes {shape} with strides {steps} from {offset}")

    def load() -> Array:
        try:
            flat = numbers()
        except (LookupError, ValueError, Cut) as error:
            raise DamagedFile(f"{source} cannot be read ({error}). Copy the file again.") from error
        wanted = math.prod(shape) * flat.itemsize
        bounds.check(wanted, flat.nbytes + bounds.SPREAD, f"{source}: bytes")
        last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
        if 0 not in shape and last >= flat.size:
            raise DamagedFile(
                f"{source}: a tensor of sizes {list(shape)} ends after its storage of {flat.size} numbers"
            )
        bytes_per_step = tuple(step * flat.itemsize for step in steps)
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[offset:], shape, bytes_per_step))

    return Tensor(dtype, shape, load, source)


def _storage(held: Any) -> _Storage:
    """The storage that a persistent id names."""
    if not isinstance(held, Record) or held.name != pickle.PERSISTENT or held.arguments[0][0] != "storage":
        raise ValueError("a tensor without a storage")
    kind, key = held.arguments[0][1:3]
    dtype = _STORAGES.get(str(kind.name).rpartition(".")[2]) if isinstance(kind, Class) else None
    if dtype is None:
        raise ValueError(f"a storage of the kind {getattr(kind, 'name', kind)}, which is not read")
    return _Storage(dtype, str(key))
