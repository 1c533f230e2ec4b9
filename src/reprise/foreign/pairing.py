"""Which inputs of a program are states, and which outputs are their next values: by the flow of data, never by name.

An input and an output can be a state and its next value when they have one type and one shape and the output is
computed from the input. Of these, three kinds of evidence make a pair:

- *carried*: the input enters a recurrent operator as the first value of what leaves it in the output;
- *shifted*: the output is the input laid out anew with other values beside, as the cache of a convolution is;
- *gated*: the output is computed from the input number by number, as `z·h + (1 − z)·n` and `f·c + i·g` are, and other
  outputs are computed from it.

What these leave is a pair where the input reaches the output through one product with weights, other outputs are
computed from the output, and neither has another partner: the hidden state of an LSTM or a plain RNN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reprise.errors import AmbiguousInterface
from reprise.foreign.program import ELEMENTWISE, MOVES, Entry, Program
from reprise.foreign.recurrent_nodes import CarriedSlot, slots
from reprise.tensors import DTYPES, Array
from reprise.wire import onnx


@dataclass(frozen=True, slots=True)
class StatePair:
    """A state at the border: the input that takes it, the output that gives the next one, and why.

    Attributes:
        taken: The input.
        given: The output.
        evidence: Why they are a pair.
        first: What it starts from, where the file says that; zeros where it does not.
    """

    taken: str
    given: str
    evidence: str
    first: Array | None = field(default=None, compare=False)


#: Operators by which a state begins anew where an episode ends.
_MASKS = frozenset({"Mul", "Where"})
#: Operators between an input and an output that are neither element by element nor a product with weights.
_FREE = frozenset("Softmax LogSoftmax ReduceMean ReduceSum ReduceMax ReduceMin ArgMax Shape Pad Tile".split())


class _Candidates:
    """Possible partners of each input, of which pairs are taken one after the other."""

    def __init__(self, partners: Mapping[str, Sequence[str]]) -> None:
        self.partners = {taken: list(given) for taken, given in partners.items()}
        self.pairs: list[StatePair] = []

    def take(self, taken: str, given: str, evidence: str) -> None:
        self.take_pair(StatePair(taken, given, evidence))

    def take_pair(self, pair: StatePair) -> None:
        self.pairs.append(pair)
        self.partners.pop(pair.taken)
        for others in self.partners.values():
            if pair.given in others:
                others.remove(pair.given)

    def possible(self) -> Iterator[tuple[str, str]]:
        yield from [(taken, given) for taken, others in self.partners.items() for given in others]


def pairs_of(program: Program, values: Mapping[str, Array], chosen: Sequence[StatePair] = ()) -> tuple[StatePair, ...]:
    """The states at the border of a program, in the order of its inputs.

    Args:
        program: The program.
        values: Its inputs and outputs of one run, which tell the shapes.
        chosen: Pairs that the caller names, or the file.

    Raises:
        AmbiguousInterface: Two readings are equally good.
    """
    candidates = _Candidates({i.name: _partners(program, i, values) for i in program.inputs if i.name in values})
    for pair in chosen:
        candidates.take_pair(pair)
    _take_carried(program, candidates)
    _take_if_single(candidates, lambda t, g: _is_shifted(program, t, g), "its next value holds it, moved")
    _take_gated(program, candidates)
    _take_last_pair(program, candidates)
    order = [i.name for i in program.inputs]
    return tuple(sorted(candidates.pairs, key=lambda p: order.index(p.taken)))


def possible_pairs(program: Program, values: Mapping[str, Array]) -> list[tuple[str, str]]:
    """Inputs with the outputs that are computed from them and have their shape, whatever else speaks for them."""
    return [(i.name, o) for i in program.inputs if i.name in values for o in _partners(program, i, values)]


def _distinct_outputs(program: Program) -> list[str]:
    """The outputs; of several that are one value, the last, since states are given after what they are for."""
    return list({program.source(o.name): o.name for o in program.outputs}.values())


def _partners(program: Program, entry: Entry, values: Mapping[str, Array]) -> list[str]:
    """The outputs that may be the next value of an input: of its type and shape, and computed from it."""
    own = values[entry.name]
    if DTYPES[entry.dtype].kind != "f" or not own.shape:
        return []
    alike = [o for o in _distinct_outputs(program) if (values[o].dtype, values[o].shape) == (own.dtype, own.shape)]
    return [o for o in alike if entry.name in program.ancestors([o])]


def _take_carried(program: Program, candidates: _Candidates) -> None:
    """Takes what a recurrent operator carries, first what enters as it is, then what a mask may reset before."""
    for ways in (MOVES, MOVES | _MASKS):
        links: dict[tuple[str, str], str] = {}
        for taken, given in candidates.possible():
            behind = program.ancestors([given], through=MOVES)
            for slot in _carrying(program, taken, ways):
                if slot.final in behind:
                    links[taken, given] = f"{slot.node.op_type} carries it"
        for taken, given in _certain(links):
            candidates.take(taken, given, links[taken, given])


def _carrying(program: Program, taken: str, ways: frozenset[str]) -> Iterator[CarriedSlot]:
    """The slots that a value enters, one after the other where several cells are steps of one frame."""
    entered = {taken}
    for slot in slots(program):
        if slot.initial and entered & program.ancestors([slot.initial], through=ways):
            entered.add(slot.final)
            yield slot


def _certain(links: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The links of which neither end has another."""
    known = list(links)
    takers, givers = [t for t, _ in known], [g for _, g in known]
    return [(t, g) for t, g in known if takers.count(t) == 1 and givers.count(g) == 1]


def _take_if_single(candidates: _Candidates, holds: Callable[[str, str], bool], evidence: str) -> None:
    """Takes the pairs for which `holds` is true and that have no rival for which it is."""
    for taken, given in _certain([pair for pair in candidates.possible() if holds(*pair)]):
        candidates.take(taken, given, evidence)


def _is_shifted(program: Program, taken: str, given: str) -> bool:
    """Whether an output holds numbers of an input as they are, joined with others."""
    behind = program.ancestors([given], through=MOVES)
    makers = (program.makers.get(name) for name in behind)
    return taken in behind and any(n is not None and n.op_type in ("Concat", "ScatterND") for n in makers)


def _take_gated(program: Program, candidates: _Candidates) -> None:
    for taken, given in _certain(_gated(program, candidates)):
        candidates.take(taken, given, "its next value is computed from it number by number")


def _gated(program: Program, candidates: _Candidates) -> list[tuple[str, str]]:
    """Pairs by the equations of gated cells: of several outputs that an input is in, the one that is computed first."""
    reached: dict[str, list[str]] = {}
    for taken, given in candidates.possible():
        if taken in program.ancestors([given], through=ELEMENTWISE):
            reached.setdefault(taken, []).append(given)
    first = [(taken, given) for taken, outputs in reached.items() for given in _first_computed(program, outputs)]
    return [(t, g) for t, g in first if _is_used(program, g) or _is_bare_cell(program)]


def _first_computed(program: Program, outputs: Sequence[str]) -> list[str]:
    """Those of some outputs that are computed from no other; where all are, from no other number by number.

    In a stack of layers whose states lie in one tensor each, c of the second layer is computed from h of the first.
    """
    for before in (_is_behind, _is_element_wise):
        first = [o for o in outputs if not any(before(program, other, o) for other in outputs if other != o)]
        if first:
            return first
    return []


def _computed_in(program: Program, output: str) -> set[str]:
    """The values that an output holds, laid out in whatever way, and that the program computes."""
    return program.ancestors([output], through=MOVES) & program.computed


def _is_behind(program: Program, first: str, second: str) -> bool:
    """Whether output `second` is computed from what output `first` holds."""
    own = _computed_in(program, second)
    return bool((_computed_in(program, first) & program.ancestors([second])) - own)


def _is_used(program: Program, output: str) -> bool:
    """Whether another output is computed from what `output` holds."""
    return any(_is_behind(program, output, other.name) for other in program.outputs if other.name != output)


def _is_bare_cell(program: Program) -> bool:
    """Whether a program is a cell alone, which gives its next state and nothing else."""
    return len(_distinct_outputs(program)) == 1 < len(program.inputs) and not slots(program)


def _is_part(program: Program, candidates: _Candidates, output: str) -> bool:
    """Whether the next value of a known state holds an output: no other state has the same."""
    source = program.source(output)
    return any(source in program.ancestors([p.given], through=MOVES) for p in candidates.pairs)


def _is_beside(program: Program, candidates: _Candidates, output: str) -> bool:
    """Whether an output is computed number by number from the next value of a state, as h is from c.

    That is said where states alone come out: another output would be computed from h.
    """
    states = {output}.union((p.given for p in candidates.pairs), (g for _, g in candidates.possible()))
    if not states.issuperset(_distinct_outputs(program)):
        return False
    return any(
        _is_behind(program, p.given, output) and _is_element_wise(program, p.given, output) for p in candidates.pairs
    )


def _is_element_wise(program: Program, first: str, second: str) -> bool:
    return bool(_computed_in(program, first) & program.ancestors([second], through=ELEMENTWISE))


def _take_last_pair(program: Program, candidates: _Candidates) -> None:
    """Pairs through one product with weights and without rivals.

    Raises:
        AmbiguousInterface: States rival each other; the message lists them.
    """
    gated = _gated(program, candidates)
    likely = [p for p in candidates.possible() if p in gated or _may_be_left(program, candidates, *p)]
    inputs = {i.name for i in program.inputs}
    closed = inputs == {t for t, _ in likely}.union(p.taken for p in candidates.pairs)  # nothing else would come in
    while not closed and (links := _certain(likely)):
        for taken, given in links:
            candidates.take(taken, given, "no other input and output fit each other")
        left = set(candidates.possible())
        likely = [pair for pair in likely if pair in left]
    if likely:
        first = "{!r}: {!r}".format(*likely[0])
        raise AmbiguousInterface(
            "the graph does not tell which of these inputs is a state whose next value is the output: "
            f"{', '.join(f'{t} → {g}' for t, g in likely)}. Say which, as pairs: states={{{first}}} "
            f"(--state-tensor {likely[0][0]}={likely[0][1]})."
        )


def _may_be_left(program: Program, candidates: _Candidates, taken: str, given: str) -> bool:
    """Whether an input may be a state by what is left: not the last input, which is what the caller gives."""
    if len(program.inputs) - len(candidates.pairs) < 2 or _is_part(program, candidates, given):
        return False
    products = _products_between(program, taken, given)
    if products and _is_beside(program, candidates, given):
        return True
    return products == 1 and (_is_used(program, given) or _is_bare_cell(program))


def _products_between(program: Program, taken: str, given: str) -> int:
    """The fewest products with weights on a way from an input to an output; several layers in one tensor have more."""
    fewest = {taken: 0}
    for node in program.nodes:
        before = [fewest[name] for name in onnx.read_by(node) if name in fewest]
        if before:
            steps = min(before) + (node.op_type not in ELEMENTWISE and node.op_type not in _FREE)
            fewest.update(dict.fromkeys(node.output, steps))
    return fewest.get(given, 0)
