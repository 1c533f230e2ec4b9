"""Files as Lua Torch writes them in binary form."""

import struct

import numpy as np


class Object:
    def __init__(self, name, **fields):
        self.name, self.fields = name, fields


class Table:
    """A table whose keys may be tables: pairs of a key and a value; equal to itself alone."""

    def __init__(self, *pairs):
        self.pairs = list(pairs)


class Storage:
    def __init__(self, *numbers):
        self.numbers = numbers


class _Writer:
    def __init__(self, tensors="Float"):
        self.parts, self.count, self.written, self.tensors = [], 0, {}, tensors

    def put(self, form, *values):
        self.parts.append(struct.pack(f"<{form}", *values))

    def text(self, text):
        data = text.encode("utf-8", "surrogateescape")
        self.put("i", len(data))
        self.parts.append(data)

    def begin(self, kind, value):
        """Whether an object is new; one that was written is named by its index."""
        again = id(value) in self.written
        index, _ = self.written.setdefault(id(value), (len(self.written) + 1, value))
        self.put("ii", kind, index)
        return not again

    def value(self, value):
        if value is None:
            self.put("i", 0)
        elif isinstance(value, bool):
            self.put("ii", 5, value)
        elif isinstance(value, (int, float)):
            self.put("id", 1, value)
        elif isinstance(value, str):
            self.put("i", 2)
            self.text(value)
        elif isinstance(value, (dict, Table)):
            self.table(value)
        elif isinstance(value, Object):
            if self.class_of(value.name, value):
                self.value(value.fields)
        elif isinstance(value, Storage):
            self.class_of("torch.LongStorage", value)
            self.put(f"{len(value.numbers) + 1}q", len(value.numbers), *value.numbers)
        else:
            self.tensor(np.ascontiguousarray(value, {"Double": np.float64}.get(self.tensors, np.float32)))

    def table(self, table):
        if self.begin(3, table):
            pairs = list(table.items()) if isinstance(table, dict) else table.pairs
            self.put("i", len(pairs))
            for key, inner in pairs:
                self.value(key)
                self.value(inner)

    def class_of(self, name, value):
        new = self.begin(4, value)
        if new:
            self.text("V 1")
            self.text(name)
        return new

    def tensor(self, array):
        self.class_of(f"torch.{self.tensors}Tensor", array)
        self.put(f"i{2 * array.ndim}q", array.ndim, *array.shape, *(s // array.itemsize for s in array.strides))
        self.put("q", 1)
        self.class_of(f"torch.{self.tensors}Storage", array.data)
        self.put("q", array.size)
        self.parts.append(array.tobytes())


def save(path, content, tensors="Float"):
    """Writes an object, with tensors of a kind: Float, Double, Cuda."""
    writer = _Writer(tensors)
    writer.value(content)
    path.write_bytes(b"".join(writer.parts))
    return path
