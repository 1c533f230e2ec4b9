"""The source of a TorchScript program: its classes and functions by the names under which it calls them.

It has Python's syntax, so `ast` reads it; nothing is compiled and nothing of it is run.
Source: torch/csrc/jit/serialization/python_print.cpp (2.13).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from reprise.errors import DamagedFile

#: How many bytes of source are read, and how deep its expressions may lie in each other.
_MOST, _DEEPEST = 4_000_000, 100


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """A program.

    Attributes:
        functions: Functions, and methods as `class.method`, by their full names.
        constants: Values of attributes that the class fixes, by `class.attribute`.
        fields: The fields of classes that are named tuples.
    """

    functions: Mapping[str, ast.FunctionDef]
    constants: Mapping[str, object]
    fields: Mapping[str, tuple[str, ...]]

    def methods(self, cls: str) -> list[str]:
        """The names of the methods of a class."""
        return [name.rpartition(".")[2] for name in self.functions if name.rpartition(".")[0] == cls]


def parsed(file: str, code: Mapping[str, str]) -> ProgramSource:
    """The program of an archive.

    Raises:
        DamagedFile: It is no source, or more than any program has.
    """
    if sum(map(len, code.values())) > _MOST:
        raise DamagedFile(f"{file}: its program has more than {_MOST} bytes; no model's has.")
    found = ProgramSource({}, {}, {})
    functions, constants, fields = dict(found.functions), dict(found.constants), dict(found.fields)
    for path, text in code.items():
        module = path.removeprefix("code/").removesuffix(".py").replace("/", ".")
        for node in _tree(f"{file}: {path}", text).body:
            if isinstance(node, ast.FunctionDef):
                functions[f"{module}.{node.name}"] = node
            elif isinstance(node, ast.ClassDef):
                own = f"{module}.{node.name}"
                functions |= {f"{own}.{f.name}": f for f in node.body if isinstance(f, ast.FunctionDef)}
                constants |= _constants(own, node)
                if any(isinstance(b, ast.Name) and b.id == "NamedTuple" for b in node.bases):
                    fields[own] = tuple(_names(node))
    return ProgramSource(functions, constants, fields)


def _tree(where: str, text: str) -> ast.Module:
    if _nesting(text) > _DEEPEST:
        raise DamagedFile(
            f"{where} is not the source of a TorchScript program: brackets are nested more than {_DEEPEST} deep."
        )
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DamagedFile(
            f"{where} is not the source of a TorchScript program ({error}). Copy the file again."
        ) from error


def _nesting(text: str) -> int:
    """How deep brackets lie in each other at most: the parser's own stack is not unlimited."""
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _names(node: ast.ClassDef) -> list[str]:
    return [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]


def _constants(own: str, node: ast.ClassDef) -> dict[str, object]:
    """Attributes of the kind `name : Final[int] = 8`."""
    found: dict[str, object] = {}
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            try:
                found[f"{own}.{statement.target.id}"] = ast.literal_eval(statement.value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
    return found
