"""What is brought to one form before any recurrence is looked for."""

from reprise.graph import Graph, Node, Value
from reprise.interface.normal.order import normalise
from reprise.structure import InBranch


def test_operators_that_pass_a_variable_itself_on_are_those_that_pass_its_numbers_on():
    variable, flag = Node("v", "VariableV2"), Node("flag", "Placeholder")
    switch = Node("s", "RefSwitch", (Value("v"), Value("flag")))
    taken = Node("taken", "RefIdentity", (Value("s", 1),))
    structure = normalise(Graph.of([variable, flag, switch, taken])).structure
    assert structure.context(Value("taken")) == (InBranch(Value("flag"), 1),)
    assert structure.source(Value("taken")) == Value("s", 1)
