"""A program that is run to learn how it behaves: with other sizes, other rows, one step or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reprise.errors import LiftError
from reprise.foreign.program import RANDOM, Entry, Program
from reprise.runtime import Engine
from reprise.tensors import DTYPES, Array
from reprise.wire import onnx

#: How many ids are drawn where no table says how many there are.
_IDS = 2
#: How long a loop may run in one trial of a few steps.
SECONDS = 5.0

Shapes = Mapping[str, tuple[int, ...]]


class Probe:
    """Runs one program on drawn numbers of any sizes.

    Attributes:
        program: What is run.
        certain: Outputs that are not drawn at random.
    """

    def __init__(self, program: Program, also: Sequence[str] = ()) -> None:
        """Loads the program; `also` are values inside of it that can be asked for beside its outputs.

        Raises:
            LiftError: ONNX Runtime refuses it.
        """
        self.program = program
        outputs = list(dict.fromkeys([*(o.name for o in program.outputs), *also]))
        graph = program.message(outputs)
        self._engine = Engine(graph, program.weights, threads=1, opsets=program.opsets, time_limit=SECONDS)
        drawn = program.after(n for node in program.nodes if node.op_type in RANDOM for n in node.output)
        self.certain = [o.name for o in program.outputs if o.name not in drawn]
        self._ids = {i.name: _table_rows(program, i) for i in program.inputs}
        self._known: dict[tuple[tuple[str, tuple[int, ...]], ...], bool] = {}

    def can_run(self, feeds: Mapping[str, Array]) -> bool:
        """Whether the program runs on inputs of these shapes; asked of the program once for the same shapes."""
        key = tuple((name, array.shape) for name, array in feeds.items())
        if key not in self._known:
            self._known[key] = self.run(feeds) is not None
        return self._known[key]

    def draw(self, shapes: Shapes, seed: int = 0) -> dict[str, Array]:
        """Numbers for inputs of these shapes: ids that the tables have, and normal deviates."""
        random = np.random.default_rng(seed)
        return {i.name: self._drawn(i, shapes[i.name], random) for i in self.program.inputs if i.name in shapes}

    def _drawn(self, entry: Entry, shape: Sequence[int], random: np.random.Generator) -> Array:
        kind = DTYPES[entry.dtype].kind
        if kind in "iu":
            return random.integers(0, self._ids[entry.name], tuple(shape)).astype(DTYPES[entry.dtype])
        if kind == "b":
            return random.integers(0, 2, tuple(shape)).astype(bool)
        if kind == "O":
            return np.full(tuple(shape), "a", object)
        return np.asarray(random.standard_normal(tuple(shape)) * 0.5).astype(DTYPES[entry.dtype])

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str] | None = None) -> dict[str, Array] | None:
        """The values of `wanted` (all outputs by default), None where the program cannot run on these sizes."""
        names = [o.name for o in self.program.outputs] if wanted is None else list(wanted)
        try:
            return self._engine.run(feeds, names)
        except LiftError:
            return None


def _table_rows(program: Program, entry: Entry) -> int:
    """How many ids an input of whole numbers may hold: the rows of the table that it is looked up in."""
    return min(tables(program, entry.name).values(), default=_IDS)


def tables(program: Program, name: str) -> dict[str, int]:
    """Tables of weights in which a value is looked up, and their rows."""
    rows = {t.name: t.dims[0] for t in program.constants.values() if t.dims}
    rows |= {k: a.shape[0] for k, a in program.weights.items() if a.ndim}
    for node in program.nodes:  # what Constant nodes hold goes by the name of the value
        if node.op_type == "Constant" and node.output[0] in program.constants:
            dims = program.constants[node.output[0]].dims
            rows |= {node.output[0]: dims[0]} if dims else {}
    laid_out = {"Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Slice"}
    return {
        node.input[0]: int(rows[node.input[0]])
        for node in program.nodes
        if node.op_type == "Gather"
        and node.input[0] in rows
        and onnx.attribute(node, "axis", 0) == 0
        and name in program.ancestors([node.input[1]], through=laid_out)
    }
