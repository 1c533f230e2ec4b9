"""What the formats of TensorFlow.js share: `model.json`, and the weights that it lists in raw files beside it.

A group of weights is the bytes of its files one after the other; a weight may lie in several of them. Whole numbers
that stand for weights are value · scale + min. Source: tfjs-core/src/io/io_utils.ts, decodeWeights.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reprise.errors import DamagedFile, MissingFile
from reprise.files import is_file, opened, read_whole
from reprise.tensors import DTYPES, Array, Tensor

NAME = "model.json"
_HEAD, _LARGEST = 4096, 2**28
_GRAPH = re.compile(rb'"format"\s*:\s*"graph-model"|"modelTopology"\s*:\s*\{\s*"(node|library|versions)"\s*:')
_ANY = re.compile(rb'\s*\{.*?("modelTopology"\s*:\s*\{|"format"\s*:\s*"(layers|graph)-model")', re.DOTALL)
_STORED = ("float32", "int32", "bool", "complex64")
_MOST_STRINGS = 2**20


def file_of(path: Path) -> Path:
    """The `model.json` that a path, a folder or that file, means."""
    return path / NAME if path.is_dir() else path


def sniff(path: Path, *, graph: bool) -> str | None:
    """Evidence of a model of TensorFlow.js with a graph, or with layers: how its `model.json` begins."""
    try:
        with opened(file_of(path)) as stream:
            head = stream.read(_HEAD)
    except OSError:
        return None
    if not _ANY.match(head) or bool(_GRAPH.search(head)) != graph:
        return None
    return f"{file_of(path).name} has a topology of {'a graph' if graph else 'layers'} for TensorFlow.js"


class TfjsContent(NamedTuple):
    """What a `model.json` says: its topology, its weights by name in their order, and all of it."""

    topology: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    whole: Mapping[str, Any]
    files: tuple[Path, ...]


def content(path: Path) -> TfjsContent:
    """The content of a `model.json` and of the files that it names.

    Raises:
        MissingFile: One of the files is not there.
        DamagedFile: It is no such file, or weights do not lie where it says.
    """
    file = file_of(path)
    try:
        found = json.loads(read_whole(file, _LARGEST))
    except OSError as error:
        raise MissingFile(f"{file}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{file}: is not complete JSON ({error}). Copy it again.") from error
    topology = found.get("modelTopology") if isinstance(found, dict) else None
    if not isinstance(topology, dict):
        raise DamagedFile(f"{file}: has no modelTopology; weights alone say nothing of the model. Copy it again.")
    manifest = found.get("weightsManifest")
    if not isinstance(manifest, list):
        raise DamagedFile(f"{file}: has no weightsManifest; the file that was saved with the weights has one.")
    weights: dict[str, Tensor] = {}
    files: list[Path] = []
    for group in manifest:
        held = _group(file, group)
        files += [one for one, _ in held.files]
        for name, tensor in _weights(held, group.get("weights")):
            if name in weights:
                raise DamagedFile(f"{file}: lists the weight {name!r} twice. Copy it again.")
            weights[name] = tensor
    return TfjsContent(topology, weights, found, (file, *files))


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of a group of weights, each with its size."""

    file: Path
    files: tuple[tuple[Path, int], ...]

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the files as if they were one.

        Raises:
            MissingFile: A file cannot be read any more.
            DamagedFile: It is shorter than it was.
        """
        parts = []
        for file, held in self.files:
            begin, end = max(offset, 0), min(offset + size, held)
            if begin < end:
                parts.append(_bytes(file, begin, end - begin))
            offset -= held
        return b"".join(parts)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(held for _, held in self.files)


def _bytes(file: Path, begin: int, size: int) -> bytes:
    try:
        with opened(file) as stream:
            stream.seek(begin)
            found: bytes = stream.read(size)
    except OSError as error:
        raise MissingFile(f"{file}: cannot be read ({error.strerror}).") from error
    if len(found) != size:
        raise DamagedFile(f"{file}: ends at byte {begin + len(found)}, {begin + size} are needed. Copy it again.")
    return found


def _group(file: Path, group: Any) -> _Group:
    names = group.get("paths") if isinstance(group, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DamagedFile(f"{file}: a group of its weights names no files. Copy it again.")
    files = []
    for name in names:
        if Path(name).name != name or not is_file(file.parent / name):
            raise MissingFile(f"{file}: its weights are in {name!r}, which is no file beside it. Copy that too.")
        files.append((file.parent / name, (file.parent / name).stat().st_size))
    return _Group(file, tuple(files))


def _weights(group: _Group, listed: Any) -> Iterator[tuple[str, Tensor]]:
    """The weights of a group, which lie one behind the other."""
    if not isinstance(listed, list):
        raise DamagedFile(f"{group.file}: a group lists no weights. Copy it again.")
    offset = 0
    for entry in listed:
        try:
            name, dtype, shape = str(entry["name"]), str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
            quantised = entry.get("quantization")
            size, tensor = _weight(group, f"weight {name!r}", offset, dtype, shape, quantised)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DamagedFile(f"{group.file}: a weight is {entry!r:.120} ({error!r:.80}). Copy it again.") from error
        offset += size
        yield name, tensor
    if offset != group.size:
        raise DamagedFile(f"{group.file}: lists {offset} bytes of weights in files of {group.size}. Copy them again.")


def _weight(
    group: _Group, what: str, offset: int, dtype: str, shape: tuple[int, ...], quantised: Any
) -> tuple[int, Tensor]:
    """How many bytes a weight takes, and the weight."""
    if min(shape, default=0) < 0 or len(shape) > 32:
        raise ValueError(f"the shape {shape}")
    if dtype == "string":
        return _strings(group, offset, shape)
    if dtype not in _STORED:
        raise ValueError(f"the type {dtype}")
    held = dtype if quantised is None else str(quantised["dtype"])
    scale, least = _scale(held, dtype, quantised)
    size = math.prod(shape) * DTYPES[held].itemsize
    if offset + size > group.size:
        raise DamagedFile(
            f"{group.file}: {what} ends at byte {offset + size} of files of {group.size}. Copy them again."
        )

    def load() -> Array:
        found = np.frombuffer(group.read(offset, size), DTYPES[held].newbyteorder("<")).reshape(shape)
        if held in ("uint8", "uint16"):
            found = found * np.float64(scale) + np.float64(least)
            found = np.floor(found + 0.5) if dtype == "int32" else found
        return found.astype(DTYPES[dtype])

    return size, Tensor(dtype, shape, load, f"{group.file.name}, {what}")


def _scale(held: str, dtype: str, quantised: Any) -> tuple[float, float]:
    """The scale of whole numbers that stand for weights, and what the least of them stands for."""
    if quantised is None or (held == "float16" and dtype == "float32"):
        return 1.0, 0.0
    if held not in ("uint8", "uint16") or dtype not in ("float32", "int32"):
        raise ValueError(f"{dtype} as {held}")
    scale, least = float(quantised["scale"]), float(quantised["min"])
    if not (math.isfinite(scale) and math.isfinite(least)):
        raise ValueError(f"the scale {scale} and the least {least}")
    return scale, least


def _strings(group: _Group, offset: int, shape: tuple[int, ...]) -> tuple[int, Tensor]:
    """Texts, each behind its length in four bytes."""
    count, at = math.prod(shape), offset
    if count > min(_MOST_STRINGS, group.size // 4):
        raise ValueError(f"{count} texts in files of {group.size}")
    found = np.empty(count, object)
    for i in range(count):
        length = int.from_bytes(group.read(at, 4), "little")
        found[i] = group.read(at + 4, length)
        at += 4 + length
    return at - offset, Tensor("string", shape, lambda: found.reshape(shape), group.file.name)
