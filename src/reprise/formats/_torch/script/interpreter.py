"""An interpreter of TorchScript programs that makes an ONNX graph: each call of an operator becomes nodes.

Nothing of a file is run. Names are those that the file defines and the operators of a table; what is known when the
program is read decides branches and unrolls loops; what is changed in place or assigned to a module is followed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.calls import call_operator, file_tensor
from reprise.formats._torch.aten.folding import UNKNOWN
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize, Size, known_number
from reprise.formats._torch.script.source import ProgramSource
from reprise.tensors import Tensor
from reprise.wire.pickle import Record

#: How many statements are carried out, and how deep calls may lie in each other.
_MOST_STATEMENTS, _DEEPEST = 50_000, 40
_NAMESPACES = ("torch.", "ops.prim.", "ops.aten.", "aten.", "prim.", "warnings.")

Names = dict[str, Any]


class RaisedError(RefusedError):
    """The program itself raises an exception on tensors of these shapes."""


@dataclass(frozen=True)
class Global:
    """A dotted name that no variable has: an operator, a function, a class."""

    name: str


class Fields(tuple[Any, ...]):
    """A named tuple."""

    names: tuple[str, ...] = ()


class _Return(Exception):  # no error: how a function is left
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass
class ModuleSlot:
    """A tensor that a module holds.

    Attributes:
        path: Its name, such as `memory.hidden_state`.
        first: What the file holds.
        name: Of that in the graph.
        now: What the module holds after the statements so far.
    """

    path: str
    first: Any
    name: str
    now: Any


class Interpreter:
    """One reading of a program: with inputs of some ranks and types."""

    def __init__(self, source: ProgramSource, root: Record, constants: Any) -> None:
        self.source, self.root = source, root
        self.constants = list(constants) if isinstance(constants, (list, tuple)) else []
        self.builder = Builder()
        self.slots: dict[tuple[int, str], ModuleSlot] = {}
        self._paths = {id(root): ""}
        self._depth = self.statements = 0
        self.was_training = False
        self._place = ""

    def forward(self, arguments: Mapping[str, Any]) -> Any:
        """What `forward` gives.

        Raises:
            RefusedError: Something has no translation; `place` says where.
        """
        try:
            return self._call(f"{self.root.name}.forward", [self.root], dict(arguments))
        except RefusedError as error:
            error.place = self._place
            raise
        except RecursionError:
            raise RefusedError("its expressions are nested too deep") from None

    # Functions and statements

    def _call(self, name: str, positional: list[Any], named: Mapping[str, Any]) -> Any:
        function = self.source.functions.get(name)
        if function is None:
            raise RefusedError(f"calls {name}, which the file does not define")
        if self._depth >= _DEEPEST:
            raise RefusedError(f"calls {name} more than {_DEEPEST} deep")
        place = self._place
        self._depth += 1
        try:
            self._block(function.body, self._bound(function, positional, named), name)
        except _Return as given:
            self._place = place
            return given.value
        finally:
            self._depth -= 1
        self._place = place
        return None

    def _bound(self, function: ast.FunctionDef, positional: list[Any], named: Mapping[str, Any]) -> Names:
        names = [a.arg for a in function.args.args]
        if len(positional) > len(names) or not named.keys() <= set(names):
            raise RefusedError(f"calls {function.name} with arguments that it does not take")
        defaults = function.args.defaults
        bound: Names = {
            n: self._value(d, {}) for n, d in zip(names[len(names) - len(defaults) :], defaults, strict=True)
        }
        bound |= dict(zip(names, positional, strict=False)) | dict(named)
        if set(bound) != set(names):
            raise RefusedError(f"calls {function.name} without {', '.join(n for n in names if n not in bound)}")
        return bound

    def _block(self, statements: list[ast.stmt], names: Names, function: str) -> None:
        for statement in statements:
            self.statements += 1
            self._place = f"{function}, line {statement.lineno}"
            if self.statements > _MOST_STATEMENTS:
                raise RefusedError(f"takes more than {_MOST_STATEMENTS} steps to read; a loop may have no end")
            self._statement(statement, names, function)

    def _statement(self, node: ast.stmt, names: Names, function: str) -> None:
        match node:
            case (
                ast.Assign(targets=[target], value=ast.expr() as value)
                | ast.AnnAssign(target=target, value=ast.expr() as value)
            ):
                self._assign(target, self._value(value, names), names)
            case ast.Expr(value=value):
                self._value(value, names)
            case ast.Return(value=value):
                raise _Return(None if value is None else self._value(value, names))
            case ast.If(test=test, body=body, orelse=other):
                self._if(self._value(test, names), body, other, names, function)
            case ast.For(target=target, iter=each, body=body, orelse=[]):
                for value in self._iterated(self._value(each, names)):
                    self._assign(target, value, names)
                    self._block(body, names, function)
            case ast.While(test=test, body=body, orelse=[]):
                while self._decided(self._value(test, names)):
                    self._block(body, names, function)
            case ast.Pass():
                pass
            case _:
                raise RefusedError(f"has a statement of the kind {type(node).__name__}, which is not read")

    def _if(self, condition: Any, body: list[ast.stmt], other: list[ast.stmt], names: Names, function: str) -> None:
        """One of two branches: the one that does not raise, where only the running model knows the condition."""
        if condition is UNKNOWN and _raises(body) != _raises(other):
            condition = _raises(other)
        self._block(body if self._decided(condition) else other, names, function)

    def _decided(self, condition: Any) -> bool:
        condition = known_number(condition)
        if not isinstance(condition, (bool, int, float)):
            raise RefusedError("takes a branch that depends on numbers or sizes of its inputs")
        return bool(condition)

    def _iterated(self, values: Any) -> Any:
        if isinstance(values, (range, list, tuple)):
            return values
        if isinstance(values, AtenTensor):
            return layout.unbind(self.builder, values)
        raise RefusedError(f"iterates over a {type(values).__name__}")

    def _assign(self, target: ast.expr, value: Any, names: Names) -> None:
        match target:
            case ast.Name(id=name):
                names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                if not isinstance(value, (tuple, list)) or len(value) != len(parts):
                    raise RefusedError(f"takes {len(parts)} values from a sequence of another length")
                for part, one in zip(parts, value, strict=True):
                    self._assign(part, one, names)
            case ast.Attribute(value=owner, attr=name):
                self._set_attribute(self._value(owner, names), name, value)
            case _:
                raise RefusedError(f"assigns to a {type(target).__name__}")

    # Expressions

    def _value(self, node: ast.expr, names: Names) -> Any:  # noqa: PLR0911 - one for each kind of expression
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return names[name] if name in names else Global(name)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(self._value(owner, names), name)
            case ast.Tuple(elts=parts):
                return tuple(self._value(p, names) for p in parts)
            case ast.List(elts=parts):
                return [self._value(p, names) for p in parts]
            case ast.Dict(keys=keys, values=values):
                return {self._key(k, names): self._value(v, names) for k, v in zip(keys, values, strict=True)}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._operator("neg", [self._value(operand, names)], {})
            case ast.Subscript(value=owner, slice=at):
                return self._item(self._value(owner, names), known_number(self._value(at, names)))
            case ast.Call(func=called, args=arguments, keywords=keywords):
                return self._call_expression(called, arguments, keywords, names)
            case _:
                raise RefusedError(f"has an expression of the kind {type(node).__name__}, which is not read")

    def _key(self, node: ast.expr | None, names: Names) -> str:
        key = None if node is None else self._value(node, names)
        if not isinstance(key, str):
            raise RefusedError("has a dictionary whose keys are not text")
        return key

    def _item(self, owner: Any, at: Any) -> Any:
        try:
            if isinstance(owner, (list, tuple, dict)):
                return owner[at]
        except (LookupError, TypeError):
            raise RefusedError(f"takes item {at!r}, which is not there") from None
        raise RefusedError(f"takes an item of a {type(owner).__name__}")

    def _call_expression(
        self, called: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword], names: Names
    ) -> Any:
        if isinstance(called, ast.Name) and called.id not in names:
            return self._builtin(called.id, arguments, names)
        positional = [self._value(a, names) for a in arguments]
        named = {k.arg: self._value(k.value, names) for k in keywords if k.arg}
        if isinstance(called, ast.Attribute):
            owner = self._value(called.value, names)
            if isinstance(owner, Record):
                return self._call(f"{owner.name}.{called.attr}", [owner, *positional], named)
            return self._global(self._attribute(owner, called.attr), positional, named)
        return self._global(self._value(called, names), positional, named)

    def _builtin(self, name: str, arguments: list[ast.expr], names: Names) -> Any:
        """A call of a name that every program knows; the first argument of some is a type."""
        if name in ("annotate", "unchecked_cast"):
            return self._value(arguments[-1], names)
        if name == "uninitialized":
            return None
        values = [self._value(a, names) for a in arguments]
        if name == "getattr" and len(values) == 2 and isinstance(values[1], str):
            return self._attribute(values[0], values[1])
        if name == "range" and values:
            return self._range(values)
        if name in ("int", "float", "bool", "str") and len(values) == 1:
            return self._converted(name, values[0])
        raise RefusedError(f"calls {name}, which is not known")

    def _range(self, values: list[Any]) -> range:
        numbers: list[Any] = [layout.counted(v) if isinstance(v, RuntimeSize) else known_number(v) for v in values]
        if len(numbers) > 3 or not all(isinstance(n, int) for n in numbers):
            raise RefusedError("counts up to a number that is not known when the program is read")
        return range(*numbers)

    def _converted(self, name: str, value: Any) -> Any:
        value = known_number(value)
        if isinstance(value, RuntimeSize):
            return value
        if isinstance(value, (int, float, str)) and not isinstance(value, AtenTensor):
            return {"int": int, "float": float, "bool": bool, "str": str}[name](value)
        raise RefusedError(f"takes a number out of a tensor ({name})")

    def _global(self, called: Any, positional: list[Any], named: Mapping[str, Any]) -> Any:
        if not isinstance(called, Global):
            raise RefusedError(f"calls a {type(called).__name__}")
        if called.name in self.source.functions:
            return self._call(called.name, positional, named)
        if called.name in self.source.fields and not named:
            made = Fields(positional)
            made.names = self.source.fields[called.name]
            return made
        namespace = next((n for n in _NAMESPACES if called.name.startswith(n)), "")
        operator = called.name.removeprefix(namespace)
        if not namespace or "." in operator:
            raise RefusedError(f"calls {called.name}, which is not known")
        return self._operator(operator, positional, dict(named))

    def _operator(self, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
        if name == "RaiseException":
            raise RaisedError("it raises an exception on tensors of such shapes")
        return call_operator(self.builder, name, arguments, named)

    # Attributes

    def _attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Global):
            return self._constant(f"{owner.name}.{name}")
        if isinstance(owner, Fields) and name in owner.names:
            return owner[owner.names.index(name)]
        if not isinstance(owner, Record):
            raise RefusedError(f"asks a {type(owner).__name__} for {name!r}")
        if name == "training":
            self.was_training |= isinstance(owner.state, dict) and owner.state.get(name) is True
            return False
        return self._slot(owner, name).now

    def _constant(self, name: str) -> Any:
        where, _, number = name.partition("CONSTANTS.c")
        if where or not number.isdigit():
            return Global(name)
        if int(number) >= len(self.constants):
            raise RefusedError(f"names {name}, which the file does not hold")
        held = self.constants[int(number)]
        return self._as_value(held, name) if isinstance(held, (Tensor, Record)) else held

    def _slot(self, owner: Record, name: str) -> ModuleSlot:
        key = id(owner), name
        if key not in self.slots:
            base = self._paths.get(id(owner), owner.name)
            path = f"{base}.{name}" if base else name
            state = owner.state if isinstance(owner.state, dict) else {}
            fixed = f"{owner.name}.{name}"
            if name not in state and fixed not in self.source.constants:
                raise RefusedError(f"asks module {base or 'itself'} for {name!r}, which it does not hold")
            value = self._as_value(state[name], path) if name in state else self.source.constants[fixed]
            self.slots[key] = ModuleSlot(
                path, _copied(value), value.name if isinstance(value, AtenTensor) else "", value
            )
        return self.slots[key]

    def _as_value(self, value: Any, path: str) -> Any:
        """What the file holds, as the program sees it."""
        if isinstance(value, Tensor):
            return file_tensor(self.builder, value, path)
        if isinstance(value, Record) and value.name.startswith("torch.jit._pickle.") and value.arguments:
            return self._as_value(value.arguments[0], path)
        if isinstance(value, Record):
            self._paths.setdefault(id(value), path)
        if isinstance(value, (list, tuple)):
            return type(value)(self._as_value(v, f"{path}.{k}") for k, v in enumerate(value))
        if isinstance(value, dict):
            return {k: self._as_value(v, f"{path}.{k}") for k, v in value.items()}
        return value

    def _set_attribute(self, owner: Any, name: str, value: Any) -> None:
        if not isinstance(owner, Record):
            raise RefusedError(f"sets {name!r} of a {type(owner).__name__}")
        self._slot(owner, name).now = value


def _copied(value: Any) -> Any:
    """Lists and dictionaries as they are before the program changes them."""
    if isinstance(value, (list, tuple)):
        return [_copied(v) for v in value]
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value


def _raises(statements: list[ast.stmt]) -> bool:
    """Whether a branch ends in an exception of the program."""
    return any(
        isinstance(s, ast.Expr)
        and isinstance(s.value, ast.Call)
        and ast.unparse(s.value.func) == "ops.prim.RaiseException"
        for s in statements
    )


def sizes(count: int, name: str) -> tuple[Size, ...]:
    """Free sizes of an input of so many axes."""
    return tuple(RuntimeSize((name, k), enters=True) for k in range(count))
