"""Holds a saved random program, restored, to what TensorFlow computed of it."""

import itertools
import json

import numpy as np

import reprise
from reprise.errors import RepriseError

#: How many orders of the states are tried where the file keeps none of their names.
ORDERS = 720
TOLERANCE = 2e-3


class Differs(AssertionError):
    """What a restored program does otherwise."""


class Both:
    """A restored program and its record."""

    def __init__(self, folder):
        self.about = json.loads((folder / "about.json").read_text())
        with np.load(folder / "truth.npz") as held:
            self.truth = dict(held)
        self.model = reprise.restore(folder / self.about["path"])
        self.face = self.model.interface
        self.settings = self._settings()
        self.inputs = self._inputs()
        self.outputs = self._outputs()

    def _settings(self):
        names = {s.tensor: s.name for s in self.face.settings}
        return {names[s["tensor"]]: s["value"] for s in self.about["settings"] if s["tensor"] in names}

    def _inputs(self):
        by_tensor = {p.tensor: p for p in self.face.inputs}
        wanted = [x["tensor"] for x in self.about["inputs"]]
        if set(by_tensor) != set(wanted):
            raise Differs(f"inputs {sorted(map(str, by_tensor))}, not {wanted}")
        return [(by_tensor[name], self.truth[f"in{k}"]) for k, name in enumerate(wanted)]

    def _outputs(self):
        by_tensor = {p.tensor: p for p in self.face.outputs}
        lost = [o["tensor"] for o in self.about["outputs"] if o["tensor"] not in by_tensor]
        if lost:
            raise Differs(f"outputs {lost} are lost, {sorted(map(str, by_tensor))} are there")
        return [(by_tensor[o["tensor"]], o["axes"], self.truth[f"out{k}"]) for k, o in enumerate(self.about["outputs"])]

    # States

    def numbered(self, kind):
        arrays = [self.truth[f"{kind}{k}"] for k in range(len(self.about["states"]))]
        return list(_parts(arrays, self.model.initial_state(self.about["rows"])))

    def orders(self):
        """Which of the record's states each of the model's may be: by shape, those of the same tensor first."""
        first = self.numbered("state")
        shapes = [array.shape for array in self.model.initial_state(self.about["rows"]).values()]
        if sorted(shapes) != sorted(a.shape for a in first):
            raise Differs(f"states {shapes}, not {[a.shape for a in first]}")
        named = {s["first"]: k for k, s in enumerate(self.about["states"])}
        known = [named.get(s.source_in, named.get(s.fed_through)) for s in self.face.states]
        if len(named) == len(first) and None not in known and len(set(known)) == len(known):
            return [known]
        fitting = (
            order
            for order in itertools.permutations(range(len(first)))
            if all(first[k].shape == shape for k, shape in zip(order, shapes, strict=True))
        )
        return itertools.islice(fitting, ORDERS)

    def begun(self, order):
        first = self.numbered("state")
        names = [s.name for s in self.face.states]
        state = self.model.initial_state(self.about["rows"], dict(self.fed(0, 1, whole=True)) if self.pending else None)
        return state.replace({name: first[k] for name, k in zip(names, order, strict=True)})

    @property
    def pending(self):
        return any(s.initial == "inputs" for s in self.face.states)

    # Calls

    def fed(self, begin, end, *, whole):
        for port, array in self.inputs:
            part = array[begin:end]
            if port.time_axis is None or not whole:
                yield port.name, part[0]
            else:
                yield port.name, part.swapaxes(0, 1) if port.time_axis == 1 else part

    def steps(self, state, count):
        """The outputs of each of so many single steps, and the last state."""
        made = []
        for t in range(count):
            outputs, state = self.model.step(dict(self.fed(t, t + 1, whole=False)), state, self.settings or None)
            made.append(outputs)
        return made, state

    def runs(self, state, length, count):
        made = []
        for t in range(0, count, length):
            feeds = dict(self.fed(t, t + length, whole=True))
            outputs, state = self.model.run(feeds, state, self.settings or None)
            made.append(outputs)
        return made, state

    def compare(self, made, state, order, *, length, whole):
        """Raises what is different of outputs, and of the last states."""
        for port, axes, wanted in self.outputs:
            if axes == "last" and state is None:
                continue
            if whole and port.time_axis is None and not port.rows:
                axes, wanted = "last", wanted if axes == "last" else wanted[len(made) * length - 1]
            parts = [_by_step(o[port.name], port, self.about["rows"], length, whole) for o in made]
            found = parts[-1] if axes == "last" else np.concatenate(parts)
            if axes == "last":
                found = found[-1] if found.ndim > wanted.ndim else found
                found = found.reshape(wanted.shape) if found.size == wanted.size else found
            elif whole is False or len(made) * length <= len(wanted):
                wanted = wanted[: len(found)]
            _close(port.tensor, found, wanted)
        if state is not None:
            last = self.numbered("after")
            for name, k in zip([s.name for s in self.face.states], order, strict=True):
                _close(f"state {name}", state[name], last[k])


def _parts(arrays, states):
    """Arrays as the model has them: one that packs several apart."""
    shapes, found = {a.shape for a in states.values()}, []
    for array in arrays:
        if array.shape in shapes:
            found.append(array)
        elif array.ndim == 3:
            found += list(array)
        else:
            found += np.split(array, 2, 1) if len(arrays) < len(states) else [array]
    return found


def _by_step(array, port, rows, length, whole):
    """An output as [T, N, …]; as it is where it has no time."""
    if port.rows:
        shape = (rows, -1) if port.rows == "batch-major" else (-1, rows)
        array = array.reshape(*shape, *array.shape[1:])
        return array.swapaxes(0, 1) if port.rows == "batch-major" else array
    if not whole:
        return array[None]
    if port.time_axis is None:
        return array[None]
    return np.moveaxis(array, port.time_axis, 0)


def _close(name, found, wanted):
    if found.shape != wanted.shape:
        raise Differs(f"{name}: shape {found.shape}, not {wanted.shape}")
    far = np.abs(found.astype(np.float64) - wanted) / (1 + np.abs(wanted))
    if not far.max() <= TOLERANCE:
        where = [int(k) for k in np.unravel_index(np.argmax(far > TOLERANCE), far.shape)]
        raise Differs(f"{name}: wrong by {far.max():.3g}, first at {where}")


def check(folder):
    """Compares carried steps and whole calls from random state; raises RepriseError or Differs, or tells why not."""
    both = Both(folder)
    if not both.face.steppable:
        return both.face.why_not  # it promises no states, and its whole runs have no state of theirs to begin with
    differs = Differs("no order of the states fits")
    for order in both.orders():
        try:
            _check_steps(both, order, 3)
            _check_runs(both, order)
            return _check_steps(both, order, len(both.inputs[0][1]))
        except Differs as error:
            differs = error
    raise differs


def _check_runs(both, order):
    count = len(both.inputs[0][1])
    length = both.about["steps"] or count
    length = count if length == 1 else length  # a step of a sequence takes any number of rows
    if all(p.time_axis is not None for p, _ in both.inputs):
        made, state = both.runs(both.begun(order), length, count)
        both.compare(made, state, order, length=length, whole=True)


def _check_steps(both, order, count):
    made, state = both.steps(both.begun(order), count)
    whole = count == len(both.inputs[0][1])
    both.compare(made, state if whole else None, order, length=1, whole=False)
    return ""


def verdict(folder):
    """`right`, `not stepped`, `refused`, `differs`, or the name of an error that is not Reprise's; and its words."""
    try:
        why = check(folder)
    except RepriseError as error:
        return f"refused {type(error).__name__}", str(error)
    except Differs as error:
        return "differs", str(error)
    except Exception as error:  # noqa: BLE001 - told, not hidden
        return type(error).__name__, str(error)
    return ("not stepped", why) if why else ("right", "")
