"""Whether a model that is stepped carries state: its single steps against one run of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reprise.interface import Interface, Port
from reprise.tensors import Array
from reprise.verify.drawing import Draw
from reprise.verify.models import SelfComparedModel, baked, takes_any_steps
from reprise.verify.report import ALONE, TOLERANCE, Difference, Report, difference

#: How far steps between which state is rounded to fewer bits may be from a run that keeps them all.
_ROUNDED = {"float16": 2e-2, "bfloat16": 2e-1}


def check_steps(
    model: SelfComparedModel, steps: int = 16, batch: int | None = None, seed: int = 0, tolerance: float = TOLERANCE
) -> Report:
    """Whether a model keeps what `steppable` promises: its single steps give what one run gives, and move its states.

    Tried from its own first state and from random state. There is nothing to try where it cannot be stepped, and no run
    to compare with where the file bakes in the number of steps.

    Args:
        model: The model.
        steps: How many carried steps.
        batch: Rows; None for 2, or as many as the file bakes in.
        seed: Of the inputs and the random state.
        tolerance: The largest |a − b| / (1 + |a|) that counts as equal, where states have at least 32 bits.
    """
    face = model.interface
    rows = batch or baked(face, "batch_axis") or 2
    allowed = max([tolerance, *(_ROUNDED.get(p.dtype, 0.0) for p in face.states)])
    starts = ("zero", "random") if face.steppable else ()
    found = {s: _alone(model, s, steps, rows, np.random.default_rng(seed)) for s in starts}
    first = next((d for d in found.values() if not d.error <= allowed), None)
    return Report(steps, rows, allowed, {d.start: (d.error,) for d in found.values()}, first)


def _alone(model: SelfComparedModel, start: str, steps: int, rows: int, random: np.random.Generator) -> Difference:
    """The largest difference between single steps of a model and one run of it; infinite where a state never moves."""
    face = model.interface
    free = takes_any_steps(face) and not _has_other_lengths(face)
    draw = Draw(face, model.vocabulary, rows, steps if free else baked(face, "time_axis") or 1, random)
    whole = draw.inputs()
    feeds = [_at(face, whole, t) for t in range(steps)] if free else [draw.inputs() for _ in range(steps)]
    first = model.initial_state(rows, whole if free else None)
    drawn = draw.state(first) if start == "random" else {}
    made, states = [], [first.replace(drawn)]
    for feed in feeds:
        outputs, state = model.run(feed, states[-1], draw.settings)
        made.append(outputs)
        states.append(state)
    for name, value in drawn.items():
        if all(np.array_equal(state[name], value) for state in states):
            return Difference(start + ALONE, steps, name, np.inf, "no step changes it")
    if not free:
        return Difference(start + ALONE, steps, "", 0.0, "")
    at_once, last = model.run(whole, states[0], draw.settings)
    pairs = {p.name: (at_once[p.name], join_steps(p, [o[p.name] for o in made])) for p in face.outputs}
    pairs |= {name: (last[name], states[-1][name]) for name in last}
    return max((difference(start + ALONE, steps, n, *pair) for n, pair in pairs.items()), key=lambda d: d.error)


def _has_other_lengths(face: Interface) -> bool:
    """Whether some lengths may be those of a sequence that is the same at every step, such as a source sentence."""
    still = [p for p in face.inputs if p.time_axis is None and p.role != "lengths"]
    open_axes = (n is None and axis != p.batch_axis for p in still for axis, n in enumerate(p.shape))
    return any(p.role == "lengths" for p in face.inputs) and any(open_axes)


def _at(face: Interface, whole: Mapping[str, Array], t: int) -> dict[str, Array]:
    """The inputs of one step of a sequence; rows whose length it is beyond have none."""
    return {
        p.name: whole[p.name].take([t], p.time_axis)
        if p.time_axis is not None
        else np.clip(whole[p.name] - t, 0, 1)
        if p.role == "lengths"
        else whole[p.name]
        for p in face.inputs
    }


def join_steps(port: Port, steps: Sequence[Array]) -> Array:
    """What single steps give, as one run gives it; each has the axes of a run."""
    if port.rows == "batch-major":
        return np.stack(steps, 1).reshape(-1, *steps[0].shape[1:])
    if port.rows == "time-major" or port.time_axis is not None:
        return np.concatenate(steps, port.time_axis or 0)
    return steps[-1]
