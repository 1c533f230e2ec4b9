"""Where training begins in a graph: the ones that gradients start with, and what is computed from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import ancestors
from reprise.operators import Tag, named
from reprise.structure import Structure

#: Operators that compare scores with what is wanted, or measure weights.
LOSSES = named(Tag.LOSS)
_POPS = ("StackPop", "TensorListPopBack")


def forward_part(structure: Structure, computed: Collection[Value], losses: Collection[str]) -> set[str]:
    """Names of what `computed` is made of, and what the nodes where a loss begins look at: no gradient is among it.

    `L2Loss` aside, by which gradients are clipped.
    """
    compared = [v for name in losses if structure.graph[name].op != "L2Loss" for v in structure.graph[name].inputs]
    return ancestors(structure, [*computed, *compared])


def gradient_seeds(structure: Structure) -> set[str]:
    """Names of `Fill(…, 1)`: every gradient begins with one, dL/dL."""
    return {n.name for n in structure.graph if n.op == "Fill" and structure.number(n.inputs[1]) == 1}


def applied_gradient_seeds(structure: Structure) -> set[str]:
    """Those of `gradient_seeds` that updates of variables are computed from."""
    updates = [n for n in structure.graph if n.op.startswith(("Apply", "ResourceApply", "SparseApply", "ScatterSub"))]
    return gradient_seeds(structure) & ancestors(structure, [v for n in updates for v in n.inputs])


def is_of_gradient(body: Iterable[Node]) -> bool:
    """Whether nodes take back what a loop before them has put aside, last step first."""
    return any(n.op.startswith(_POPS) for n in body)
