"""Which loop variables carry state: told from what their next value is computed from."""

import pytest

from reprise.frame import Frame, Scope
from reprise.interface.loops import recurrences
from reprise.structure import InLoop, analyse
from tests.interface.building import Builder

H = 4


class Loop:
    """A loop over x [T, N, H] whose variables are given one by one."""

    def __init__(self):
        self.b = Builder()
        x = self.b.placeholder("x", None, None, H)
        self.frame = Frame("while", Scope("count", self.b.nodes).rows(x))
        self.x = self.frame.read("x", x, "float32")
        self.finals = {}

    def __call__(self, op, *inputs):
        return self.frame.make(f"{op}_{len(self.frame.nodes)}", op, inputs, T="float32")

    def carry(self, dtype="float32"):
        first = self.b.placeholder(f"first_{len(self.finals)}", *([None, H] if dtype == "float32" else []), dtype=dtype)
        return self.frame.carry(first, dtype)

    def leave(self, name, variable, leaving):
        self.finals[name] = self.frame.leave(variable, leaving)

    def states(self):
        """Names of the variables that are state, of the one loop that has any."""
        self.b.nodes |= self.frame.nodes
        found = recurrences.find(analyse(self.b.graph()))
        assert len(found) <= 1
        return [name for name, final in self.finals.items() for r in found if final in [c.final for c in r.states]]


def with_state():
    loop = Loop()
    h = loop.carry()
    after = loop("Tanh", loop("Add", loop.x, h))
    loop.leave("h", h, after)
    return loop, after


def test_a_value_that_is_computed_from_its_last_is_state():
    assert with_state()[0].states() == ["h"]


def test_a_sum_that_nothing_reads_is_none_and_one_that_is_read_is():
    loop, after = with_state()
    total = loop.carry()
    loop.leave("total", total, loop("Add", total, after))
    assert loop.states() == ["h"]

    loop = Loop()
    h, memory = loop.carry(), loop.carry()
    after = loop("Tanh", loop("Add", loop("Add", loop.x, h), memory))
    loop.leave("h", h, after)
    loop.leave("memory", memory, loop("Add", memory, after))
    assert loop.states() == ["h", "memory"]


@pytest.mark.parametrize("dtype", ["int32", "bool", "string"])
def test_what_is_no_number_with_a_fraction_is_none(dtype):
    loop, _ = with_state()
    other = loop.carry(dtype)
    loop.leave("other", other, loop("Maximum", other, other))
    assert loop.states() == ["h"]


def test_what_stays_as_it_was_and_what_forgets_itself_is_none():
    loop, after = with_state()
    same, last = loop.carry(), loop.carry()
    loop.leave("same", same, loop("Identity", same))
    loop.leave("last", last, loop("Neg", after))
    assert loop.states() == ["h"]


def test_values_that_change_places_carry_each_other():
    loop = Loop()
    a, b = loop.carry(), loop.carry()
    loop.leave("a", a, loop("Neg", b))
    loop.leave("b", b, loop("Tanh", loop("Add", a, loop.x)))
    assert loop.states() == ["a", "b"]


def test_a_choice_from_scores_ends_the_chain():
    loop = Loop()
    scores = loop.carry()
    drawn = loop.frame.make("drawn", "ArgMax", (scores, loop.frame.constant(loop.frame.number("axis", 1))), T="float32")
    loop.leave("scores", scores, loop("Add", loop.x, loop.frame.make("cast", "Cast", (drawn,), DstT="float32")))
    assert loop.states() == []


def test_rows_that_are_read_and_written_are_seen_with_their_numbers():
    loop, after = with_state()
    loop.frame.write("y", after, "float32")
    loop.b.nodes |= loop.frame.nodes
    structure = analyse(loop.b.graph())
    (found,) = recurrences.find(structure)
    assert [(str(r.stacked), r.index) for r in found.reads] == [("x:0", loop.frame.counter)]
    assert [(w.element, w.index) for w in found.writes] == [(after, loop.frame.counter)]
    assert structure.context(after) == (InLoop("while"),)


def test_a_loop_that_pops_what_another_pushed_is_a_gradient():
    loop, after = with_state()
    h = loop.carry()
    loop.leave("g", h, loop("Add", loop("StackPopV2", loop("Identity", h)), after))
    assert loop.states() == []
