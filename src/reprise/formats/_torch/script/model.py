"""The ONNX model of a TorchScript program.

A program states the types of its inputs, not how many axes they have. It is read with the ranks on which it computes
what its operators can; of several such readings the first is taken in which sizes meet as they do in PyTorch's modules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from reprise.formats._base import Memory
from reprise.formats._torch.aten.message import TensorChange, memory_of, message, tensors_of
from reprise.formats._torch.aten.values import AtenTensor, NoIndexError, RefusedError
from reprise.formats._torch.script.interpreter import Interpreter, ModuleSlot, sizes
from reprise.formats._torch.script.source import ProgramSource
from reprise.wire import onnx
from reprise.wire.pickle import Record

#: Ranks of an input, the likeliest first; how many combinations are tried, and how many statements all of them take.
_RANKS = (2, 3, 1, 4)
_MOST_READINGS, _MOST_STATEMENTS = 256, 500_000
_FLOAT, _ID = "float32", "int64"


@dataclass(frozen=True)
class _Leaf:
    """A tensor among the inputs."""

    name: str


@dataclass
class _Run:
    """One reading: the interpreter after it, the inputs, and what `forward` gave."""

    run: Interpreter
    inputs: Mapping[str, AtenTensor]
    given: Any


def translate(
    source: ProgramSource, root: Record, constants: Any
) -> tuple[onnx.Message, tuple[Memory, ...], tuple[str, ...]]:
    """The model of `forward`, the states that its modules keep, and what is worth telling.

    Raises:
        RefusedError: Something in it has no translation.
    """
    read = _best(source, root, constants)
    outputs = list(tensors_of(read.given, "output"))
    if not outputs:
        raise RefusedError("gives no tensor")
    slots = [part for whole in read.run.slots.values() for part in _parts(whole)]
    memory = memory_of(read.run.builder, _changes(slots), outputs)
    _check_alone(slots, {m.taken for m in memory})
    model = message(read.run.builder, read.inputs, memory, outputs)
    kept = ", ".join(m.taken for m in memory)
    notes = [f"a call changes what the module holds: {kept}; held by the caller"] if kept else []
    if read.run.was_training:
        notes.append("its modules were saved in training mode; it is run in evaluation mode, as after eval()")
    return model, memory, tuple(notes)


# Readings


def _best(source: ProgramSource, root: Record, constants: Any) -> _Run:
    """The first reading whose sizes meet as usual, else the first that is none the less possible."""
    found: list[_Run] = []
    furthest, why = -1, RefusedError("has no inputs")
    spent = 0
    ids: set[str] = set()
    for ranks, with_options in _readings(source, root):
        try:
            run, read, error = _tried(source, root, constants, ranks, ids, with_options=with_options)
        except NoIndexError:  # such an input cannot be told ids
            continue
        spent += run.statements
        if read is not None:
            found.append(read)
        elif error is not None and run.statements > furthest:
            furthest, why = run.statements, error
        if (read is not None and not run.builder.odd) or spent > _MOST_STATEMENTS:
            break
    if not found:
        raise why
    return min(found, key=lambda r: r.run.builder.odd)


def _readings(source: ProgramSource, root: Record) -> Iterator[tuple[Mapping[str, int], bool]]:
    """Ranks of the inputs, first with what may be left out and then without."""
    function = source.functions[f"{root.name}.forward"]
    for with_options in (True, False):
        names = [leaf.name for leaf in _leaves(_arguments(function, with_options=with_options))]
        for ranks in islice(product(_RANKS, repeat=len(names)), _MOST_READINGS):
            yield dict(zip(names, ranks, strict=True)), with_options


def _tried(
    source: ProgramSource, root: Record, constants: Any, ranks: Mapping[str, int], ids: set[str], *, with_options: bool
) -> tuple[Interpreter, _Run | None, RefusedError | None]:
    """A reading, or why there is none; `ids` are inputs that were found to hold ids, and more may be found."""
    function = source.functions[f"{root.name}.forward"]
    while True:
        run = Interpreter(source, root, constants)
        inputs = {n: AtenTensor(n, _ID if n in ids else _FLOAT, sizes(rank, n)) for n, rank in ranks.items()}
        arguments = {n: _filled(a, inputs) for n, a in _arguments(function, with_options=with_options).items()}
        try:
            return run, _Run(run, inputs, run.forward(arguments)), None
        except NoIndexError as error:
            if error.name in ids or error.name not in inputs:
                return run, None, error
            ids.add(error.name)
        except RefusedError as error:
            return run, None, error


def _arguments(function: ast.FunctionDef, *, with_options: bool) -> dict[str, Any]:
    """The inputs as trees of leaves; without those that the program gives a value of its own."""
    arguments = function.args.args[1:]
    defaults = len(function.args.defaults)
    found: dict[str, Any] = {}
    for place, argument in enumerate(arguments):
        optional = place >= len(arguments) - defaults
        tree = _tree(argument.arg, argument.annotation, with_options=with_options)
        if tree is not None:
            found[argument.arg] = tree
        elif not optional:
            found[argument.arg] = None if _is_optional(argument.annotation) else _refuse(argument)
    return found


def _refuse(argument: ast.arg) -> Any:
    kind = "?" if argument.annotation is None else ast.unparse(argument.annotation)
    raise RefusedError(f"takes {argument.arg} of the type {kind}; inputs are tensors, and tuples of them")


def _is_optional(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Optional"


def _tree(name: str, annotation: ast.expr | None, *, with_options: bool) -> Any:
    """Leaves where the type has tensors; None where it is none of tensors alone, or may be left out and is."""
    if annotation is None:
        return None
    if isinstance(annotation, ast.Name):
        return _Leaf(name) if annotation.id == "Tensor" else None
    if not isinstance(annotation, ast.Subscript):
        return None
    kind = ast.unparse(annotation.value)
    if kind == "Optional":
        return _tree(name, annotation.slice, with_options=True) if with_options else None
    if kind != "Tuple":
        return None
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    inner = [_tree(f"{name}.{k}", part, with_options=with_options) for k, part in enumerate(parts)]
    return None if None in inner else tuple(inner)


def _leaves(tree: Any) -> Iterator[_Leaf]:
    if isinstance(tree, _Leaf):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple) else ():
        yield from _leaves(part)


def _filled(tree: Any, inputs: Mapping[str, AtenTensor]) -> Any:
    if isinstance(tree, _Leaf):
        return inputs[tree.name]
    return tuple(_filled(part, inputs) for part in tree) if isinstance(tree, tuple) else tree


# States that modules keep


def _changes(slots: Sequence[ModuleSlot]) -> list[TensorChange]:
    """The tensors of modules that a call changes.

    Raises:
        RefusedError: It changes what is no tensor.
    """
    found = []
    for slot in slots:
        first, now = slot.first, slot.now
        if isinstance(first, AtenTensor) and isinstance(now, AtenTensor) and first.stored is not None:
            if now.name != slot.name:
                found.append(TensorChange(slot.path, slot.name, first, now))
        elif now is not first and (isinstance(now, AtenTensor) or first != now):
            raise RefusedError(f"changes {slot.path!r} of its module, which is not a tensor before and after a call")
    return found


def _parts(slot: ModuleSlot) -> Iterator[ModuleSlot]:
    """What a module holds in a list, a tuple or a dictionary, each by itself."""
    first, now = _by_key(slot.first), _by_key(slot.now)
    if first is None or now is None or first.keys() != now.keys():
        yield slot
        return
    for key in first:
        path = f"{slot.path}.{key}"
        yield from _parts(ModuleSlot(path, first[key], path, now[key]))


def _by_key(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else None


def _check_alone(slots: Sequence[ModuleSlot], changed: set[str]) -> None:
    """A tensor that is changed must not be another one's, which would change with it."""
    firsts = [(s.name, s.first) for s in slots if isinstance(s.first, AtenTensor)]
    names = [(name, first.stored.source) for name, first in firsts if first.stored is not None]
    for name, storage in names:
        if name in changed and any(other != name and storage == where for other, where in names):
            raise RefusedError(f"changes {name!r}, which shares its numbers with another tensor")
