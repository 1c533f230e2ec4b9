"""Files as `torch.save` writes them, made without PyTorch: its pickles name classes, and stand-ins have these names."""

import io
import pickle
import struct
import sys
import types
import zipfile
from contextlib import contextmanager

import numpy as np

_KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


class _Storage:
    def __init__(self, array, key):
        self.array, self.key = array, key


def _rebuild_tensor_v2(*arguments):
    raise AssertionError("nothing that a file names is called")


class _View:
    """Pickles as a tensor does: a call of a function with a storage, an offset, sizes and strides."""

    def __init__(self, array, storage, offset=0):
        self.array, self.storage, self.offset = array, storage, offset

    def __reduce__(self):
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return _rebuild_tensor_v2, (self.storage, self.offset, self.array.shape, strides, False, {})


@contextmanager
def _torch():
    """Modules called as PyTorch's, as long as something is pickled."""
    names = ("torch", "torch._utils")
    modules = {name: types.ModuleType(name) for name in names}
    for kind in _KINDS.values():
        setattr(modules["torch"], kind, type(kind, (), {"__module__": "torch"}))
    _rebuild_tensor_v2.__module__ = "torch._utils"
    modules["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update(modules)
    try:
        yield modules["torch"]
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)


class _Pickler(pickle.Pickler):
    def __init__(self, file, torch):
        super().__init__(file, protocol=2)
        self.torch = torch

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            kind = getattr(self.torch, _KINDS[value.array.dtype.name])
            return "storage", kind, value.key, "cpu", value.array.size
        return None


def _pickled(content, torch):
    stream = io.BytesIO()
    _Pickler(stream, torch).dump(content)
    return stream.getvalue()


def _tensors(content, storages):
    """`content` with views of storages for its arrays."""
    if isinstance(content, dict):
        return {k: _tensors(v, storages) for k, v in content.items()}
    if isinstance(content, np.ndarray):
        flat = np.ascontiguousarray(content).ravel()
        storages.append(_Storage(flat, str(len(storages))))
        return _View(np.ascontiguousarray(content), storages[-1])
    return content


def save(path, content, legacy=False):
    """Writes nested dicts of arrays and plain data as `torch.save` does, or did before version 1.6."""
    storages = []
    with _torch() as torch:
        root = _pickled(_tensors(content, storages), torch)
    if legacy:
        heads = [pickle.dumps(p, 2) for p in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        keys = pickle.dumps([s.key for s in storages], 2)
        numbers = [struct.pack("<q", s.array.size) + s.array.tobytes() for s in storages]
        path.write_bytes(b"".join([*heads, root, keys, *numbers]))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", root)
        archive.writestr("model/byteorder", "little")
        archive.writestr("model/version", "3\n")
        for storage in storages:
            archive.writestr(f"model/data/{storage.key}", storage.array.tobytes())
    return path
