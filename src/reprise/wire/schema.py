"""Protobuf messages from a table: one message a paragraph, one field a line.

    NodeDef
      1 name string
      3 input string*
      5 attr map:AttrValue

A field has a number, a name and a type: `*` repeats, `map:` is a map from string, `|` makes the field a member of the
message's one-of `value`. Fields that nobody reads may be left out; protobuf skips them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
    "sint64": _Field.TYPE_SINT64,
    "int32": _Field.TYPE_INT32,
    "uint32": _Field.TYPE_UINT32,
    "fixed32": _Field.TYPE_FIXED32,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}


class Schema:
    """A table of messages, whose classes are built on first use.

    They live in a descriptor pool of their own, so they never meet the registration of the same messages by another
    library in the same process.
    """

    def __init__(
        self, package: str, table: str, enums: Mapping[str, Mapping[str, int]] | None = None, syntax: str = "proto3"
    ) -> None:
        """`enums` are enumerations by name, with numbers; in `proto2` a field that is zero is still written."""
        self._package = package
        self._table = table
        self._enums = enums or {}
        self._syntax = syntax
        self.message = cache(self._message)

    def _message(self, name: str) -> Any:
        """The class of the message `name`."""
        return message_factory.GetMessageClass(self._pool().FindMessageTypeByName(f"{self._package}.{name}"))

    @cache  # noqa: B019 - a schema lives as long as the program
    def _pool(self) -> Any:
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{self._package}.proto", package=self._package, syntax=self._syntax
        )
        for line in self._table.strip().splitlines():
            if line.startswith(" "):
                self._add_field(file.message_type[-1], *line.split())
            else:
                file.message_type.add(name=line)
        for name, members in self._enums.items():
            enum = file.enum_type.add(name=name)
            for member, number in members.items():
                enum.value.add(name=member, number=number)
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        return pool

    def _add_field(self, message_type: Any, number: str, name: str, kind: str) -> None:
        field = message_type.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
        if kind.startswith("map:"):
            entry = message_type.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
            entry.options.map_entry = True
            self._add_field(entry, "1", "key", "string")
            self._add_field(entry, "2", "value", kind.removeprefix("map:"))
            kind = f"{message_type.name}.{entry.name}*"
        if kind.endswith("|"):
            if not message_type.oneof_decl:
                message_type.oneof_decl.add(name="value")
            field.oneof_index = 0
        if kind.endswith("*"):
            field.label = _Field.LABEL_REPEATED
        base = kind.rstrip("|*")
        if base in _SCALARS:
            field.type = _SCALARS[base]
        else:
            field.type = _Field.TYPE_ENUM if base in self._enums else _Field.TYPE_MESSAGE
            field.type_name = f".{self._package}.{base}"
