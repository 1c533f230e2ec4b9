"""Pickles as data: an opcode reader for protocols 0 to 5, also Python 2's, that imports and calls nothing.

It builds dicts, lists, tuples, sets, text, bytes, numbers, None and booleans. An object of any other class becomes a
`Record` of the class's name, its arguments and its state. Python 2's byte strings become text where they are ASCII.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from reprise import bounds
from reprise.wire.varint import Cut

_ARRAY = "numpy.ndarray"
_PLAIN_KEYS = (str, bytes, int, float, type(None))
_ARRAY_DTYPE = re.compile(r"[<>|=]?([biufSU])(\d{1,4})")
_MARK = object()
#: How many lines of text the argument of an opcode is.
_LINES = {"GLOBAL": 2, "INST": 2, "PERSID": 1}
#: The name of the record of a persistent id: an object that lies elsewhere, which the program that reads must find.
PERSISTENT = "persistent id"
#: What the readers of opcodes and the makers of plain data raise for what is none.
_FAULTS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, MemoryError, SystemError, RecursionError)


class Class(NamedTuple):
    """The name of a class or function that a pickle mentions."""

    name: str


@dataclass(slots=True)
class Record:
    """An object that is not plain data.

    Attributes:
        name: Of its class, such as `argparse.Namespace`.
        arguments: What it would be made from.
        state: What it would be filled with.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


def load(data: bytes, *, arrays: bool = False) -> list[Any]:
    """The objects that were pickled one after the other into one file; with `arrays`, arrays of NumPy are arrays.

    Raises:
        Cut: It is not a pickle, or one that builds what plain data cannot be.
    """
    return load_first(data, None, arrays=arrays)[0]


def load_first(data: bytes, count: int | None, *, arrays: bool = False) -> tuple[list[Any], int]:
    """The first `count` objects of those pickled one after the other, all where None, and where the last one ends.

    Arrays of NumPy are nested lists, but where `arrays` is set.

    Raises:
        Cut: As `load`.
    """
    stream = io.BytesIO(data)
    found: list[Any] = []
    try:
        while stream.tell() < len(data) if count is None else len(found) < count:
            found.append(_Machine(stream, arrays=arrays).run())
    except _FAULTS as error:
        raise Cut(f"the pickle breaks off at byte {stream.tell()} ({error or type(error).__name__})") from error
    return found, stream.tell()


class _Machine:
    """The pickle machine: a stack, and a memo of objects that are used again."""

    def __init__(self, stream: io.BytesIO, *, arrays: bool = False) -> None:
        self._stream = stream
        self._arrays = arrays
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while (name := self._opcode()) != "STOP":
            argument = self._argument(name)
            if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name](argument))
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise ValueError(f"the opcode {name} does not make plain data")
        root = self.stack.pop()
        most = bounds.PICKLED + self._stream.getbuffer().nbytes
        if _written_out(root, most) > most:
            raise ValueError(f"lists hold each other so often that they are more than {most} objects when written out")
        return root

    def _opcode(self) -> str:
        return _NAMES[self._stream.read(1)]

    def _argument(self, name: str) -> Any:
        if name == "STRING":  # pickletools takes ASCII alone
            return _ESCAPE.sub(_unescaped, self._stream.readline().strip()[1:-1])
        if name in _LINES:  # and gives warnings for escapes that are none
            return " ".join(self._line() for _ in range(_LINES[name]))
        reader = _ARGUMENTS[name]
        return reader(self._stream) if reader else None

    def _line(self) -> str:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ValueError("a line that does not end")
        return line.strip().decode("ascii")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is needed")
        return value

    def pop_mark(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def remember(self, number: int | None) -> None:
        self.memo[len(self.memo) if number is None else number] = self.stack[-1]

    def recall(self, number: int) -> None:
        self.push(self.memo[number])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(map(_key, items))
        elif not isinstance(target, Record):  # a Record's items are of no use to anybody here
            raise TypeError(f"items are added to a {type(target).__name__}")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update(zip(map(_key, items[::2]), items[1::2], strict=True))
        elif not isinstance(target, Record):
            raise TypeError(f"items are set in a {type(target).__name__}")

    def make(self, name: Any, arguments: Any) -> None:
        """What calling the class or function `name` would give, if it gives plain data; else a record."""
        if not isinstance(name, Class) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is not named")
        maker = _MAKERS.get(name.name)
        self.push(self._plain(maker(*arguments)) if maker else Record(name.name, arguments))

    def _plain(self, value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray) and not self._arrays else value

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state
            if target.name == _ARRAY:
                self.stack[-1] = self._plain(_array(state))


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"\n": b""}


def _unescaped(match: re.Match[bytes]) -> bytes:
    """One escape of Python's bytes literals; what is none stays as it is."""
    what = match[1]
    if what[:1] == b"x" and len(what) == 3:
        return bytes([int(what[1:], 16)])
    if what.isdigit():
        return bytes([int(what, 8) & 0xFF])
    return _PLAIN.get(what, what if what in b"\\'\"" else match[0])


def _class(argument: str) -> Class:
    return Class(argument.replace(" ", ".", 1))


def _key(value: Any) -> Any:
    """A value that may be a key: hashing anything deeper could take for ever."""
    flat = value if isinstance(value, tuple) else (value,)
    if len(flat) > 16 or not all(isinstance(part, _PLAIN_KEYS) for part in flat):
        raise TypeError(f"a {type(value).__name__} as a key")
    return value


def _python2(value: bytes) -> str | bytes:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return value


def _ordered(items: Any = ()) -> dict[Any, Any]:
    pairs = items.items() if isinstance(items, dict) else items
    return {_key(pair[0]): pair[1] for pair in pairs}


def _set(items: Any = ()) -> set[Any]:
    return set(map(_key, items))


def _reconstructor(owner: Class, _base: Any = None, state: Any = None) -> Record:
    return Record(owner.name, (), state)


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin-1")


def _reconstruct(_class: Any, _shape: Any, _kind: Any) -> Record:
    return Record(_ARRAY)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    return np.frombuffer(_bytes(content), _dtype(dtype))[0].item()


def _array(state: Any) -> Any:
    """A NumPy array; the elements of one of objects come as a list already."""
    _version, shape, dtype, fortran, content = state
    if isinstance(content, list):
        return content
    return _from_buffer(content, dtype, shape, "F" if fortran else "C")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if not content:
        return []
    return np.frombuffer(_bytes(content), _dtype(dtype)).reshape(shape, order=order)


def _dtype(record: Any) -> np.dtype[Any]:
    """A dtype of numbers or text; its state holds the byte order."""
    if not isinstance(record, Record) or record.name != "numpy.dtype":
        raise TypeError("an element type of another kind")
    text = str(record.arguments[0])
    if not _ARRAY_DTYPE.fullmatch(text):
        raise ValueError(f"elements of type {text}")
    big = bool(record.state) and record.state[1] == ">"
    return np.dtype(text).newbyteorder(">" if big else "=")


def _bytes(content: Any) -> bytes:
    if isinstance(content, str):
        return content.encode("latin-1")
    if not isinstance(content, (bytes, bytearray)):  # of a number it would be as many zeros
        raise TypeError(f"a {type(content).__name__} as the bytes of an array")
    return bytes(content)


#: Classes and functions whose result is plain data.
_MAKERS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "collections.defaultdict": lambda *_factory: {},
    "copy_reg._reconstructor": _reconstructor,
    "copyreg._reconstructor": _reconstructor,
    "_codecs.encode": _encode,
    **{f"{module}.{kind}": _set for module in ("__builtin__", "builtins") for kind in ("set", "frozenset")},
    **{f"{module}.bytes": lambda: b"" for module in ("__builtin__", "builtins")},
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
}

_NAMES = {op.code.encode("latin-1"): op.name for op in pickletools.opcodes}
_ARGUMENTS = {op.name: op.arg.reader if op.arg else None for op in pickletools.opcodes}


def _itself(value: Any) -> Any:
    return value


#: Opcodes that push one value made from their argument.
_CONSTANTS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), _itself),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _itself),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _itself),
    "BYTEARRAY8": bytes,
    "STRING": _python2,
    "BINSTRING": lambda text: _python2(text.encode("latin-1")),
    "SHORT_BINSTRING": lambda text: _python2(text.encode("latin-1")),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _MARK,
    "GLOBAL": _class,
}


def _append(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    machine.extend([value])


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.pop_mark()
    machine.push({})
    machine.set_items(items)


def _written_out(root: Any, most: int) -> int:
    """How many objects there are where each is counted wherever it stands; no count above `most` is exact."""
    counts: dict[int, int] = {}
    waiting = [(root, False)]
    while waiting:
        value, parts_are_counted = waiting.pop()
        if parts_are_counted:
            counts[id(value)] = min(most, sum(counts.get(id(part), 1) for part in _parts(value))) + 1
        elif id(value) not in counts:
            counts[id(value)] = 1
            waiting.append((value, True))
            waiting += [(part, False) for part in _parts(value) if isinstance(part, _HOLDS)]
    return counts[id(root)]


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain(value, value.values())
    if isinstance(value, Record):
        return value.arguments, value.state
    return value if isinstance(value, (list, tuple)) else ()


_HOLDS = (dict, list, tuple, Record)


def _object(machine: _Machine, _: Any) -> None:
    owner, *arguments = machine.pop_mark()
    machine.make(owner, tuple(arguments))


def _reduce(machine: _Machine, _: Any) -> None:
    arguments, name = machine.pop(), machine.pop()
    machine.make(name, arguments)


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    _keywords, arguments, name = machine.pop(), machine.pop(), machine.pop()
    machine.make(name, arguments)


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push(Class(f"{module}.{name}"))


#: Opcodes that work on the stack or the memo.
_STEPS: Mapping[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda _machine, _: None),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_mark(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    "LIST": lambda m, _: m.push(m.pop_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.pop_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "FROZENSET": lambda m, _: m.push(_set(m.pop_mark())),
    "DICT": _dict,
    "APPEND": _append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda m, _: m.extend(m.pop_mark())),
    "SETITEM": _set_item,
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "STACK_GLOBAL": _stack_global,
    "INST": lambda m, name: m.make(_class(name), tuple(m.pop_mark())),
    "OBJ": _object,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
    "NEWOBJ_EX": _new_with_keywords,
    "BUILD": lambda m, _: m.build(),
    "PERSID": lambda m, name: m.push(Record(PERSISTENT, (name,))),
    "BINPERSID": lambda m, _: m.push(Record(PERSISTENT, (m.pop(),))),
}
