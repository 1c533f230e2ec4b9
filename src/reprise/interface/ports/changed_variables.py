"""Variables that a function changes and reads: each must be a state, or the next call would not know it."""

from __future__ import annotations

from collections.abc import Iterator

from reprise.errors import DiscoveryError
from reprise.graph import VARIABLES, Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.normal.assignments import ASSIGN
from reprise.interface.ports.describe import Discovery
from reprise.structure import Carried


def check_variables_are_states(found: Discovery) -> None:
    """That a call of the model leaves in its states all that a call of the function leaves in variables.

    Raises:
        DiscoveryError: What the model computes depends on a variable that is changed and is not one of its states.
    """
    graph = found.structure.graph
    if not graph.results:
        return
    changed = {node.inputs[0]: node.name for node in graph if node.op == ASSIGN}
    known = dict(_states(found))
    wanted = [*found.outputs, *(c.final or c.leaving for c in found.states)]
    needed = ancestors(found.structure, wanted, {c.initial: None for c in known.values()})
    for variable, name in changed.items():
        if variable not in known and variable.node in needed:
            raise DiscoveryError(
                f"variable {variable.node!r} is changed by every call (at {name!r}), the outputs depend on it, and it "
                "is no state of the recurrence that is read: the next call would compute with its old value. Save a "
                "function that takes this value as an argument and gives the next one as a result."
            )


def _states(found: Discovery) -> Iterator[tuple[Value, Carried]]:
    """Each variable that is a state, with that: it holds the first value, and the last one is assigned to it."""
    structure = found.structure
    assigned = {n.inputs[0]: structure.source(n.inputs[1]) for n in structure.graph if n.op == ASSIGN}
    for carried in found.states:
        read = structure.graph[structure.origin(carried.initial).node]
        variable = read.inputs[0] if read.inputs else Value(read.name)
        is_variable = variable.node in structure.graph and structure.graph[variable.node].op in VARIABLES
        if is_variable and assigned.get(variable) in (carried.final, structure.source(carried.leaving)):
            yield variable, carried
