"""Source nodes → ONNX nodes, on demand: what nothing asks for is never translated."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

from reprise import bounds
from reprise.errors import LiftError, MissingWeights
from reprise.graph import Node, Value
from reprise.interface.analysis import malformed
from reprise.interface.analysis.facts import Facts
from reprise.lift.numbers import KnownNumbers
from reprise.operators import OPERATORS
from reprise.operators.rules.block import Block, Names, onnx_type
from reprise.operators.rules.pairs import COMPLEX, as_pairs
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.types import dtype as value_dtype
from reprise.structure import Structure
from reprise.tensors import Array, Tensor

#: More than any graph has: values that wait for each other, in a damaged file, would wait for ever.
_MOST_WAITING = 1_000_000


class Emitter:
    """Translates values of one analysed graph into one ONNX model.

    Attributes:
        structure: The source.
        facts: What is known of its values.
        names: Names and constants of the model.
        fast_path: Whether loops of known cells become ONNX's recurrent operators.
        fast: The recurrent operators that were emitted in the place of loops.
        misses: Why other loops stayed loops.
    """

    def __init__(
        self,
        structure: Structure,
        facts: Facts,
        leave_loop: Callable[[Emitter, Site], None],
        variable: Callable[[Node], Tensor | None],
        needed: frozenset[str],
        sizes: Mapping[Dim, tuple[str, int]],
    ) -> None:
        """`leave_loop` emits the loop that an Exit leaves, `variable` gives the stored tensor of a variable node.

        `needed` names the nodes that the outputs rest on, `sizes` which axis of which input a free size is.
        """
        self.structure = structure
        self.facts = facts
        self.names = Names()
        self.needed = needed
        self._sizes = sizes
        self._leave_loop = leave_loop
        self._variable = variable
        self._weights: dict[str, str] = {}
        records = (OPERATORS.get(n.op) for n in structure.graph)
        self._has_complex = any(r is not None and r.on_pairs is not None and r.onnx is None for r in records)
        self.fast_path = True
        self.fast: list[str] = []
        self.misses: list[str] = []

    def reading(self, sizes: Mapping[Dim, tuple[str, int]]) -> Emitter:
        """An emitter for another part of the same model, which reads the free sizes from other inputs."""
        other = copy.copy(self)
        other._sizes = sizes
        return other

    def name(self, value: Value, block: Block) -> str:
        """The ONNX name of `value`, emitting what it needs first."""
        value = self.structure.result(value)
        pending = [value]
        while pending:
            top = pending[-1]
            if block.lookup(top) is not None:
                pending.pop()
                continue
            missing = [v for v in self._needs(top) if block.lookup(v) is None]
            if missing and len(pending) < _MOST_WAITING:
                pending.extend(missing)
                continue
            self._emit(top, block)
            pending.pop()
        found = block.lookup(value)
        if found is None:
            raise self.refusal(self.structure.graph[value.node])
        return found

    def known(self, value: Value) -> Array | None:
        """The numbers of `value` where they follow from the file alone."""
        return self.facts.content(value)

    def size(self, size: Dim, block: Block) -> str | None:
        """A free size as an int64 vector of one element, read from the inputs; None where it is not one of theirs."""
        if size.known:
            return block.ints(size.scale)
        found = [self._axis(s) for s in size.symbols]
        if None in found:
            return None
        outermost = block.home(())
        names = [_length(outermost, *at) for at in found if at is not None]
        names += [block.ints(size.scale)] if size.scale != 1 else []
        return names[0] if len(names) == 1 else _product(outermost, names)

    def _axis(self, symbol: str) -> tuple[str, int, int] | None:
        """The axis of an input whose size a symbol is, and the number that is added to it."""
        size = Dim(1, (symbol,))
        if size in self._sizes:
            return *self._sizes[size], 0
        more = ((at, self.facts.sizes.apart(size, known)) for known, at in self._sizes.items())
        return next(((*at, n) for at, n in more if n is not None), None)

    def stored(self, node: Node) -> Tensor | None:
        """The stored tensor of a variable node, None where the files have none."""
        return self._variable(node)

    def numbers(self, value: Value) -> Array | None:
        """The numbers of `value` where they follow from the file and the stored weights."""
        return KnownNumbers(self.structure, self.known, self._variable).of(value)

    def loop(self, site: Site) -> None:
        """Emits the loop that an Exit leaves, and names its final values."""
        self._leave_loop(self, site)

    def variable(self, node: Node) -> str:
        """The initializer of a variable node."""
        if node.name not in self._weights:
            tensor = self._variable(node)
            if tensor is None:
                raise MissingWeights(
                    f"variable {node.name!r}: the files hold no values for it, so the model cannot run; "
                    "`reprise inspect --evidence` shows what they hold"
                )
            self._weights[node.name] = self.names.constant(tensor.load(), node.name)
        return self._weights[node.name]

    def refusal(self, node: Node, why: str = "") -> LiftError:
        """The error for a node that has no translation."""
        return LiftError(f"operator {node.op!r} (node {node.name!r}) {why or 'has no translation'}")

    def _needs(self, value: Value) -> list[Value]:
        node = self.structure.graph.nodes.get(value.node)
        if node is None:
            raise LiftError(f"node {value.node!r} is not in the graph; the file is incomplete")
        if self.known(value) is not None or self._free_size(value) is not None:
            return []
        record = OPERATORS.get(node.op)
        if record is None or self._rule(node) is None:
            raise self.refusal(node)
        return [self.structure.result(v) for i, v in enumerate(node.inputs) if i not in record.lazy]

    def _emit(self, value: Value, block: Block) -> None:
        node = self.structure.graph[value.node]
        content = self.known(value)
        if content is not None:
            outermost = block.home(())
            outermost.values[value] = self.names.constant(self._typed(content, value), value.node)
            return
        free = self._free_size(value)
        if free is not None and (read := self.size(free, block)) is not None:
            kind = onnx_type(value_dtype(self.structure, value))
            outermost = block.home(())
            scalar = outermost.one("Squeeze", read, outermost.ints(0))
            outermost.values[value] = outermost.one("Cast", scalar, to=kind, hint=value.node)
            return
        rule = self._rule(node)
        if rule is None:
            raise self.refusal(node)
        amount = math.prod(size.scale for size in self.facts.of(value).shape or ())
        bounds.check(amount, bounds.COMPUTED, f"node {node.name!r} ({node.op}): numbers")
        home = block.home(self.structure.context(value))
        try:
            made = rule(Site(self, node, home))
        except malformed.FAULTS as fault:
            raise malformed.refusal(node, fault) from fault
        made = (made,) if isinstance(made, str) else made
        for index, name in enumerate(made):
            if name is not None:
                home.values.setdefault(Value(node.name, index), name)
        if block.lookup(value) is None:
            raise self.refusal(node, f"output {value.index} has no translation")

    def _rule(self, node: Node) -> OnnxRule | None:
        """How a node is written; one through which complex numbers go, only where its record knows them."""
        record = OPERATORS[node.op]
        values = (*node.inputs, Value(node.name)) if self._has_complex else ()
        is_complex = any(value_dtype(self.structure, v) in COMPLEX for v in values)
        return record.on_pairs if is_complex else record.onnx

    def _free_size(self, value: Value) -> Dim | None:
        """The size that a scalar is, where it is one that the inputs give."""
        content = self.facts.of(value).content
        if content is None or content.dtype != object or content.ndim:
            return None
        size = self.facts.sizes.resolve(dim(content.item()))
        return size if size.symbols and all(self._axis(s) for s in size.symbols) else None

    def _typed(self, content: Array, value: Value) -> Array:
        """Folding computes shapes in int64; the graph may want int32. Complex numbers are pairs."""
        wanted = value_dtype(self.structure, value)
        if wanted in COMPLEX:
            return as_pairs(content)
        if content.dtype.kind in "iu" and wanted in ("int32", "int64"):
            return content.astype(wanted)
        return content


def _length(block: Block, name: str, axis: int, added: int) -> str:
    """The size of an axis with a number added: none, where more is taken off than there is."""
    size = block.one("Shape", name, start=axis, end=axis + 1)
    return block.one("Max", block.one("Add", size, block.ints(added)), block.ints(0)) if added else size


def _product(block: Block, names: list[str]) -> str:
    total = names[0]
    for name in names[1:]:
        total = block.one("Mul", total, name)
    return total
