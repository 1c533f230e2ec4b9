"""What an ONNX model of another program is: its program, its states and its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reprise.errors import AmbiguousInterface, DiscoveryError, NoRecurrence
from reprise.foreign.batch import Batch, batch_of, first_run
from reprise.foreign.branches import as_run, settings_of, with_settings
from reprise.foreign.in_full import in_full
from reprise.foreign.opening import Opened, hidden_slots, with_opened_slots
from reprise.foreign.pairing import StatePair, pairs_of, possible_pairs
from reprise.foreign.probe import Probe
from reprise.foreign.program import Program
from reprise.foreign.recurrent_nodes import CarriedSlot, is_both_ways, sequence_lengths, slots
from reprise.foreign.repeating import repeated, single_step_axes
from reprise.foreign.time_steps import STEPS, Time, time_of, visible_time_axes
from reprise.foreign.trial import Trial
from reprise.interface import Setting
from reprise.tensors import Array

Values = Mapping[str, float | int | bool]


@dataclass(frozen=True, slots=True)
class ForeignReading:
    """One reading of a model.

    Attributes:
        program: What runs, its states among its inputs and outputs.
        settings: Inputs that choose a branch.
        pairs: The states.
        opened: Those of them that the file keeps to itself.
        lengths: Inputs that hold how long each sequence is.
        batch: The axes of the batch.
        time: The axes of time; None where a call is one step.
        why_not: Why it cannot be stepped, empty where it can.
        evidence: What shows that its steps are those of a run, empty where nothing does.
    """

    program: Program
    settings: tuple[Setting, ...]
    pairs: tuple[StatePair, ...]
    opened: tuple[Opened, ...]
    lengths: frozenset[str]
    batch: Batch
    time: Time | None
    why_not: str = ""
    evidence: str = ""


def reading_of(program: Program, values: Values, chosen: Sequence[StatePair] = ()) -> ForeignReading:
    """The reading of a program.

    Args:
        program: As the file holds it.
        values: Values of settings, where not those that the file suggests.
        chosen: States at the border that the caller names, or the file.

    Raises:
        NoRecurrence: Nothing in it carries state.
        AmbiguousInterface: Two readings are equally good.
        DiscoveryError: It runs on no sizes that were tried.
    """
    settings = settings_of(program)
    program = _without_constant_outputs(with_settings(program, settings, values))
    missing = [s.name for s in settings if values.get(s.name, s.value) is None]
    if missing:
        raise AmbiguousInterface(
            f"input {missing[0]!r} chooses a branch of the model, and the file names no value of it. Give one: "
            f"settings={{{missing[0]!r}: …}} (--set {missing[0]}=…)."
        )
    closed = _at_the_border(program, chosen)
    hidden = [s for s in hidden_slots(program) if not is_both_ways(s.node)]
    tries = [
        *([hidden] if hidden else []),
        *([[]] if closed.pairs else []),
    ]  # what is left closed may seem to be nothing
    readings = (_reading_by_trial(closed, settings, each) for each in tries)
    reading = next((r for r in readings if r is not None), None) or _as_a_whole(closed, settings)
    if not reading.pairs and not slots(closed.taken):
        raise NoRecurrence(_nothing_carried(closed))
    return reading


@dataclass(frozen=True, slots=True)
class _Closed:
    """A program with the states that the file itself shows, and what one run of it gave.

    Attributes:
        program: The program.
        taken: The same with only the branches that it took in this run.
        pairs: Its states.
        lengths: Inputs that hold how long each sequence is.
        values: Its inputs and results in the run, and the first values of what its operators carry.
    """

    program: Program
    taken: Program
    pairs: tuple[StatePair, ...]
    lengths: frozenset[str]
    values: Mapping[str, Array]


def _at_the_border(program: Program, chosen: Sequence[StatePair]) -> _Closed:
    """The program with the states that are inputs and outputs of the file.

    Raises:
        DiscoveryError: It runs on no sizes that were tried.
    """
    lengths = frozenset(i.name for i in program.inputs if _tells_lengths(program, i.name))
    probe = Probe(program, [s.initial for s in slots(program) if s.initial])
    values = first_run(Trial(probe, (), lengths))
    if values is None:
        raise DiscoveryError(
            "the model does not run on inputs of the shapes that its file states, whatever the free sizes: "
            f"{', '.join(f'{i.name} {list(i.sizes)}' for i in program.inputs)}. Check that ONNX Runtime runs the file."
        )
    taken = as_run(program, {i.name: values[i.name] for i in program.inputs})
    return _Closed(program, taken, pairs_of(taken, values, chosen), lengths, values)


def _reading_by_trial(
    closed: _Closed, settings: tuple[Setting, ...], hidden: Sequence[CarriedSlot]
) -> ForeignReading | None:
    """The reading, with `hidden` slots opened, in which T steps at once are T single steps; None where they are not."""
    program, states = with_opened_slots(closed.program, hidden, closed.values)
    began = [StatePair(s.taken, s.given, f"{s.slot.node.op_type} began anew at every call") for s in states]
    pairs = (*closed.pairs, *began)
    trial = Trial(Probe(in_full(program)), pairs, closed.lengths)
    batch = batch_of(trial)
    time = None if batch is None else time_of(trial, batch)
    if batch is None or time is None or time.difference:
        return None
    shown = f"{STEPS} steps at once gave what {STEPS} single steps gave that carried the states, from random ones"
    if trial.probe.program is not program:
        shown += "; but for numbers that are cut to int8 anew at every call, by the largest of them"
    return ForeignReading(program, settings, pairs, states, closed.lengths, batch, time, evidence=shown)


def _as_a_whole(closed: _Closed, settings: tuple[Setting, ...]) -> ForeignReading:
    """The reading in which a call is what the file makes of it: one step where it has states, or a whole sequence."""
    trial = Trial(Probe(closed.program), closed.pairs, closed.lengths)
    batch = batch_of(trial)
    if batch is None:
        raise DiscoveryError("the model ran once and not again on inputs of the same shapes.")
    reading = ForeignReading(closed.program, settings, closed.pairs, (), closed.lengths, batch, None)
    if not closed.pairs or _carries_backwards(closed):
        return replace(reading, time=visible_time_axes(trial, batch), why_not=_why_not(trial, batch))
    time = single_step_axes(trial, batch, closed.values)
    if time is None:
        return replace(reading, evidence="a call is one step")
    program = repeated(closed.program, closed.pairs, time)
    return replace(
        reading, program=program, time=time, evidence="the file takes one step a call; a run is one call each"
    )


def _carries_backwards(closed: _Closed) -> bool:
    """Whether a state belongs to an operator that reads its sequence from the end."""
    taken = {p.taken for p in closed.pairs}
    backwards = [s for s in slots(closed.taken) if is_both_ways(s.node) and s.initial]
    return any(taken & closed.taken.data_ancestors([s.initial]) for s in backwards)


def _why_not(trial: Trial, batch: Batch) -> str:
    backwards = [n for n in trial.probe.program.nodes if is_both_ways(n)]
    if backwards:
        name = backwards[0].name or backwards[0].output[0]
        return f"{backwards[0].op_type} {name!r} also reads its sequence from the end: outputs depend on later steps"
    found = time_of(trial, batch)
    return found.difference if found is not None else "along no axis of its inputs can it be run step by step"


def _tells_lengths(program: Program, name: str) -> bool:
    lengths = sequence_lengths(program.nodes)
    return bool(lengths) and name in program.ancestors(lengths, through={"Cast", "Identity", "Squeeze", "Reshape"})


def _without_constant_outputs(program: Program) -> Program:
    """`program` without outputs that no input has a part in, such as the number of a version."""
    given = {i.name for i in program.inputs}
    kept = tuple(o for o in program.outputs if given & program.ancestors([o.name]))
    return replace(program, outputs=kept)


def _nothing_carried(closed: _Closed) -> str:
    operators = ", ".join(sorted({n.op_type for n in closed.program.nodes})[:12])
    return (
        f"the model carries no state from step to step: no input is the value before of an output, and no LSTM, GRU, "
        f"RNN, Scan or Loop is in it ({len(closed.program.nodes)} nodes: {operators}). {_what_else(closed)}"
    )


def _what_else(closed: _Closed) -> str:
    """What a model may be of which no state is found."""
    alike = possible_pairs(closed.taken, closed.values)
    if not alike:
        return "It is a feed-forward model, or one whose steps are written out and begin from a state of their own."
    taken, given = alike[0]
    return (
        f"If an input is a state whose next value is an output, say so, as a pair: states={{{taken!r}: {given!r}}} "
        f"(--state-tensor {taken}={given}). Otherwise it is a feed-forward model."
    )
