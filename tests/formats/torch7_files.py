"""Files as Lua Torch writes them in binary form."""

import struct

import numpy as np


class Object:
    def __init__(self, name, **fields):
        self.name, self.fields = name, fields


class _Writer:
    def __init__(self):
        self.parts, self.count = [], 0

    def put(self, form, *values):
        self.parts.append(struct.pack(f"<{form}", *values))

    def text(self, text):
        data = text.encode()
        self.put("i", len(data))
        self.parts.append(data)

    def begin(self, kind):
        self.count += 1
        self.put("ii", kind, self.count)

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
        elif isinstance(value, dict):
            self.begin(3)
            self.put("i", len(value))
            for key, inner in value.items():
                self.value(key)
                self.value(inner)
        elif isinstance(value, Object):
            self.class_of(value.name)
            self.value(value.fields)
        else:
            self.tensor(np.ascontiguousarray(value, np.float32))

    def class_of(self, name):
        self.begin(4)
        self.text("V 1")
        self.text(name)

    def tensor(self, array):
        self.class_of("torch.FloatTensor")
        self.put(f"i{2 * array.ndim}q", array.ndim, *array.shape, *(s // 4 for s in array.strides))
        self.put("q", 1)
        self.class_of("torch.FloatStorage")
        self.put("q", array.size)
        self.parts.append(array.tobytes())


def save(path, content):
    writer = _Writer()
    writer.value(content)
    path.write_bytes(b"".join(writer.parts))
    return path
