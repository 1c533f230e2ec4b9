"""The ONNX model of a graph of `torch.export`: a list of calls of ATen's operators, one after the other.

Source: torch/_export/serde/schema.py (2.13).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reprise.formats._base import Memory
from reprise.formats._torch.aten.calls import call_operator, file_tensor, signature
from reprise.formats._torch.aten.message import TensorChange, memory_of, message, tensors_of
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize, Size
from reprise.wire import onnx
from reprise.wire.torch_export import ELEMENT_TYPES, ExportedProgram

#: Operators that only check sizes and types.
_CHECKS = frozenset("_assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size".split())
#: Operators of Python on sizes, by ATen's names.
_PYTHON = {"truediv": "div", "mod": "remainder", "getitem": "getitem"}
_KINDS_OF_SIZES = ("as_sym_int", "as_sym_bool", "as_sym_float")
#: Arguments that are several of another kind.
_SEVERAL = {"as_tensors": "as_tensor", "as_sym_ints": "as_sym_int", "as_sym_floats": "as_sym_float"}
_IGNORED = frozenset("as_none as_memory_format as_layout as_device".split())
#: bfloat16's number here and in ATen; the others are one less in ATen.
_BFLOAT16, _ATEN_BFLOAT16 = 13, 15
#: What an argument holds that names no value.
_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys("as_int as_ints as_floats as_bool as_bools as_string as_strings".split(), lambda held: held),
    **dict.fromkeys(_IGNORED, lambda _: None),
    **dict.fromkeys(_KINDS_OF_SIZES, lambda held: next(iter(held.values()))),
    "as_scalar_type": lambda held: _ATEN_BFLOAT16 if held == _BFLOAT16 else held - 1,
    "as_float": float,  # infinity is a text
}
#: The number by which an argument says that it is given by its name.
_BY_NAME = 2

Model = tuple[onnx.Message, tuple[Memory, ...], tuple[str, ...]]


def translate(program: ExportedProgram) -> Model:
    """The model of a program, the states that its modules keep, and what is worth telling.

    Raises:
        RefusedError: Something in it has no translation; `place` says where.
        KeyError, TypeError, ValueError, AttributeError, LookupError: It is no such graph.
    """
    reader = _Reader(program)
    for node in program.module["graph"]["nodes"]:
        reader.place = f"{node['target']}, node {node.get('name') or _first_name(node)}"
        try:
            reader.run(node)
        except RefusedError as error:
            error.place = reader.place
            raise
    return reader.model()


def _first_name(node: Mapping[str, Any]) -> str:
    return next((n for output in node["outputs"] for n in _names(output)), "?")


def _names(argument: Mapping[str, Any]) -> Iterator[str]:
    """The names of the values that an output of a node gives."""
    ((kind, held),) = argument.items()
    if kind in _SEVERAL:
        yield from (_name_of(part) for part in held)
    elif kind not in _IGNORED:
        yield _name_of(held)


def _name_of(held: Mapping[str, Any]) -> str:
    return str(held["name"] if "name" in held else held["as_name"])


class _Reader:
    """One reading of a graph."""

    def __init__(self, program: ExportedProgram) -> None:
        self.module, self.tensors = program.module, program.tensors
        self.graph: Mapping[str, Any] = program.module["graph"]
        self.builder = Builder()
        self.place = ""
        self.values: dict[str, Any] = {}
        self.inputs: dict[str, AtenTensor] = {}
        self.held: dict[str, tuple[AtenTensor, AtenTensor]] = {}
        self._sizes: dict[str, RuntimeSize] = {}
        for spec in self.module["signature"]["input_specs"]:
            ((kind, content),) = spec.items()
            self._take(kind, content)

    # Inputs

    def _take(self, kind: str, content: Mapping[str, Any]) -> None:
        """An input of the graph: one of the caller's, or a tensor of the file."""
        names = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}
        if kind in names:
            path, name = content[names[kind]], content["arg"]["name"]
            if path not in self.tensors:
                raise RefusedError(f"names {path}, which the file does not hold")
            if path not in self.held:
                value = file_tensor(self.builder, self.tensors[path], path)
                self.held[path] = value, AtenTensor(value.name, value.dtype, value.sizes, stored=value.stored)
            self.values[name] = self.held[path][0]
        elif kind == "user_input":
            self._take_argument(content["arg"])
        elif kind not in ("constant_input", "token"):
            raise RefusedError(f"takes an input of the kind {kind}, which is not read")

    def _take_argument(self, argument: Mapping[str, Any]) -> None:
        ((kind, held),) = argument.items()
        if kind == "as_tensor":
            name = held["name"]
            self.inputs[name] = self._input(name)
            self.values[name] = AtenTensor(name, self.inputs[name].dtype, self.inputs[name].sizes)
        elif kind in _KINDS_OF_SIZES and "as_name" in held:
            raise RefusedError(f"takes {held['as_name']} as a number; inputs are tensors")

    def _input(self, name: str) -> AtenTensor:
        meta = self.graph["tensor_values"][name]
        dtype = ELEMENT_TYPES.get(meta["dtype"], "")
        dtype = "float32" if dtype in ("float16", "bfloat16", "float64") else dtype
        if dtype not in ("float32", "int64", "int32", "bool", "uint8"):
            raise RefusedError(f"takes {name} of an element type that is not computed with")
        return AtenTensor(name, dtype, tuple(self._size(n, name, k) for k, n in enumerate(meta["sizes"])))

    def _size(self, held: Mapping[str, Any], name: str, axis: int) -> Size:
        """A size of an input: a number, or one that all inputs share which have the same word for it."""
        if "as_int" in held:
            return int(held["as_int"])
        return self._sizes.setdefault(str(held["as_expr"]["expr_str"]), RuntimeSize((name, axis), enters=True))

    # Nodes

    def run(self, node: Mapping[str, Any]) -> None:
        """Carries one node out."""
        name = _operator(node["target"])
        if name in _CHECKS:
            return
        positional, named = self._arguments(name, node["inputs"])
        self._keep(node["outputs"], call_operator(self.builder, name, positional, named))

    def _arguments(self, name: str, arguments: Sequence[Mapping[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
        order = signature(name)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for held in arguments:
            at = len(positional)
            known = at < len(order) and order[at] == held["name"]
            by_name = held["kind"] == _BY_NAME if "kind" in held else not known and held["name"] in order
            value = self._value(held["arg"])
            if by_name:
                named[held["name"]] = value
            else:
                positional.append(value)
        return positional, named

    def _value(self, argument: Mapping[str, Any]) -> Any:
        """An argument of a call: a tensor or size of the program, a number or text, or a list of them."""
        ((kind, held),) = argument.items()
        if kind in _SEVERAL:
            return [self._value({_SEVERAL[kind]: part}) for part in held]
        if kind == "as_optional_tensors":
            return [self._value(part) for part in held]
        if kind == "as_optional_tensor":
            return self._value(held)
        if kind == "as_tensor" or (kind in _KINDS_OF_SIZES and "as_name" in held):
            return self.values[_name_of(held)]
        if kind not in _READ:
            raise RefusedError(f"has an argument of the kind {kind}, which is not read")
        return _READ[kind](held)

    def _keep(self, outputs: Sequence[Mapping[str, Any]], result: Any) -> None:
        """Gives the results of a node their names."""
        several = len(outputs) > 1
        if several and (not isinstance(result, (list, tuple)) or len(result) != len(outputs)):
            raise RefusedError(f"gives {len(outputs)} values, which is not read")
        for output, value in zip(outputs, result if several else [result], strict=True):
            ((kind, held),) = output.items()
            if kind in _SEVERAL:
                names = [_name_of(part) for part in held]
                self.values.update(zip(names, value, strict=True))
            elif kind not in _IGNORED:
                self.values[_name_of(held)] = value

    # The model

    def model(self) -> Model:
        """The model after all nodes."""
        shown, changed = [], {path: now for path, (now, first) in self.held.items() if now.name != first.name}
        for spec in self.module["signature"]["output_specs"]:
            ((kind, content),) = spec.items()
            if kind == "user_output":
                shown.append(self._value(content["arg"]))
            elif kind == "buffer_mutation":
                changed[content["buffer_name"]] = self.values[content["arg"]["name"]]
            elif kind != "token":
                raise RefusedError(f"gives an output of the kind {kind}, which is not read")
        outputs = list(tensors_of(_named(shown, _result_form(self.module)), "output"))
        if not outputs:
            raise RefusedError("gives no tensor")
        memory = memory_of(self.builder, [self._change(path, now) for path, now in changed.items()], outputs)
        model = message(self.builder, self.inputs, memory, outputs)
        paths = ", ".join(m.taken for m in memory)
        return model, memory, (f"a call changes what the module holds: {paths}; held by the caller",) if paths else ()

    def _change(self, path: str, now: AtenTensor) -> TensorChange:
        first = self.held[path][1]
        if any(t.source == self.tensors[path].source for n, t in self.tensors.items() if n != path):
            raise RefusedError(f"changes {path!r}, which shares its numbers with another tensor")
        return TensorChange(path, first.name, first, now)


def _operator(target: str) -> str:
    """The name of an operator without namespace and overload.

    Raises:
        RefusedError: It is neither ATen's nor Python's.
    """
    for prefix, rename in (("torch.ops.aten.", {}), ("_operator.", _PYTHON)):
        if target.startswith(prefix):
            name = target.removeprefix(prefix).partition(".")[0]
            return str(rename.get(name, name))
    raise RefusedError(f"calls {target}, which has no translation")


# The form of the result: names of a dictionary, tuples


def _result_form(module: Mapping[str, Any]) -> Any:
    """How the outputs are put together, as the call of the whole module says; None where it does not."""
    own = [c for c in module.get("module_call_graph") or [] if c.get("fqn") == "" and c.get("signature")]
    try:
        return json.loads(own[0]["signature"]["out_spec"])[1] if own else None
    except (KeyError, ValueError, TypeError, IndexError, RecursionError):
        return None


def _named(values: Sequence[Any], form: Any) -> Any:
    """The outputs put together in a form; as a list where they do not fit it."""
    left = iter(values)
    try:
        return _filled(form, lambda: next(left), depth=8)
    except (StopIteration, KeyError, TypeError, ValueError):
        return list(values) if len(values) != 1 else values[0]


def _filled(form: Any, following: Callable[[], Any], depth: int) -> Any:
    if form["type"] is None:
        return following()
    if not depth:
        raise ValueError("its results are nested too deep")
    parts = [_filled(part, following, depth - 1) for part in form["children_spec"]]
    if form["type"] == "builtins.dict":
        return dict(zip(json.loads(form["context"]), parts, strict=True))
    return parts
