"""Whether two models compute the same numbers, over many carried steps; and whether one that is stepped carries state.

A first step from zeros shows little: state that is dropped, or c and h exchanged, shows only when the state that one
call gives goes into the next, or when a sequence starts from numbers that are not zero. So both are tried. Two models
may lose the same state; that shows when the steps of one are compared with a run of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from reprise.errors import CallError, VerificationError
from reprise.interface import Interface
from reprise.verify.drawing import Draw
from reprise.verify.models import ComparedModel, SelfComparedModel, baked, takes_any_steps
from reprise.verify.report import TOLERANCE, Difference, Report, difference
from reprise.verify.steps import check_steps

__all__ = ["TOLERANCE", "ComparedModel", "Difference", "Report", "SelfComparedModel", "baked", "check_steps", "compare"]


def compare(
    model_a: ComparedModel,
    model_b: SelfComparedModel,
    steps: int = 16,
    batch: int | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Report:
    """Runs both models on the same drawn inputs, state carried from call to call.

    Three times: one step at a time from the models' own first state, one step at a time from random state, and one
    whole sequence from random state. Where the file bakes in a length, a step is a call of that length. The model that
    is checked is also compared with itself, as `check_steps` does.

    Args:
        model_a: The model that is believed.
        model_b: The model that is checked.
        steps: How many carried steps.
        batch: Rows; None for 2, or as many as the file bakes in.
        seed: Of the inputs and the random state.
        tolerance: The largest |a − b| / (1 + |a|) that counts as equal.

    Raises:
        CallError: There are no steps, or there is no such seed.
        VerificationError: The models take or give other things, so that their numbers cannot be compared.
    """
    if steps < 1:
        raise CallError(f"steps: expected at least 1, found {steps}")
    if seed < 0:
        raise CallError(f"seed: expected a whole number from 0, found {seed}")
    _check_same_interface(model_a.interface, model_b.interface)
    rows = batch or baked(model_a.interface, "batch_axis") or 2
    errors: dict[str, tuple[float, ...]] = {}
    found: list[Difference] = []
    for start in _starts(model_a.interface):
        calls = list(_calls(model_a, model_b, start, steps, rows, np.random.default_rng(seed)))
        errors[start] = tuple(max(d.error for d in call) for call in calls)
        found += [d for call in calls for d in call]
    first = next((_worst(found, d) for d in found if not d.error <= tolerance), None)
    largest = {d.tensor: d for d in sorted(found, key=lambda d: d.error)}
    alone = check_steps(model_b, steps, rows, seed, tolerance)
    return Report(steps, rows, tolerance, {**errors, **alone.errors}, first or alone.first, tuple(largest.values()))


def _worst(found: Sequence[Difference], first: Difference) -> Difference:
    """The largest difference of the call of `first`."""
    return max((d for d in found if (d.start, d.step) == (first.start, first.step)), key=lambda d: d.error)


def _starts(face: Interface) -> tuple[str, ...]:
    if not face.steppable:
        return ("whole",)
    carried = ("zero", "random") if face.states else ("zero",)
    return (*carried, "whole") if takes_any_steps(face) else carried


def _calls(
    a: ComparedModel, b: ComparedModel, start: str, steps: int, rows: int, random: np.random.Generator
) -> Iterator[list[Difference]]:
    """The largest difference of each output and state, call by call."""
    face = a.interface
    length = baked(face, "time_axis") or (steps if start == "whole" else 1)
    draw = Draw(face, a.vocabulary, rows, length, random)
    state_a, state_b = a.initial_state(rows), b.initial_state(rows)
    if start != "zero":
        values = draw.state(state_a)
        state_a, state_b = state_a.replace(values), state_b.replace(values)
    for step in range(1, 2 if start == "whole" else steps + 1):
        feeds = draw.inputs()
        outputs_a, after_a = a.run(feeds, state_a, draw.settings)
        outputs_b, after_b = b.run(feeds, state_b, draw.settings)
        pairs = {n: (outputs_a[n], outputs_b[n]) for n in outputs_a} | {
            s.name: (after_a[s.name], after_b[s.name]) for s in face.states
        }
        yield [difference(start, step, name, *pair) for name, pair in pairs.items()]
        state_a, state_b = after_a, after_b


def _check_same_interface(a: Interface, b: Interface) -> None:
    for kind in ("inputs", "outputs", "states"):
        one = {p.name: (p.dtype, len(p.shape)) for p in getattr(a, kind)}
        other = {p.name: (p.dtype, len(p.shape)) for p in getattr(b, kind)}
        for name in [*one, *other]:
            if one.get(name) != other.get(name):
                raise VerificationError(
                    f"the models cannot be compared: {kind[:-1]} {name!r} is {_words(one.get(name))} in the first "
                    f"and {_words(other.get(name))} in the second"
                )


def _words(port: tuple[str, int] | None) -> str:
    return "absent" if port is None else f"{port[0]} of {port[1]} axes"
