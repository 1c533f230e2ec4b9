"""Random models of ONNX: restored, they give over many carried steps what ONNX Runtime gives with every state given.

python -m tests.foreign.test_random_models FIRST LAST tries more of them.
"""

import contextlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import reprise
from reprise.errors import AmbiguousInterface, RepriseError
from tests.foreign.random_models import drawn

#: How many calls of how many steps are compared.
CALLS = (5, 3, 1, 4)


def runner(data):
    """A function that runs a file as it stands, without what is optimised and not exact."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


class Both:
    """A restored model and its reference, fed alike from a random state."""

    def __init__(self, graph, reference, model):
        self.graph, self.model, self.face = graph, model, model.interface
        self.run_reference = runner(reference.data)
        self.random = np.random.default_rng(graph.seed)
        self.rows = graph.batch or 2
        self.states = {n: self.floats(self.sized(sizes)) for n, sizes in reference.states.items()}
        self.still = {graph.still: self.floats(self.sized(dict(self.sizes())[graph.still]))} if graph.still else {}
        self.hidden = [n for n in reference.states if n not in graph.entered]
        self.state = model.initial_state(self.rows).replace(self.wanted())
        self.x = next(p for p in self.face.inputs if p.tensor == "x")
        self.y = next(p for p in self.face.outputs if p.tensor == "y")
        self.tolerance = 5e-2 if graph.coarse else 1e-3

    def sizes(self):
        return [(name, sizes) for name, sizes, _ in self.graph.inputs]

    def sized(self, sizes, steps=1):
        return [{"n": self.rows, None: self.rows, "t": steps}.get(k, k) for k in sizes]

    def floats(self, shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def wanted(self):
        """The states of the reference by the names of the model."""
        hidden, found = iter(self.hidden), {}
        for port in self.face.states:
            parts = self.graph.parts.get(port.source_in)
            if parts:
                found[port.name] = np.stack([self.states[n] for n in parts])
            elif port.source_in in self.graph.pairs:
                found[port.name] = self.states[port.source_in.removesuffix("_in")]
            else:
                found[port.name] = self.states[next(hidden)]
        return found

    def drawn(self, steps):
        shape = self.sized(self.graph.takes, steps)
        return self.random.integers(0, self.graph.ids, shape) if self.graph.ids else self.floats(shape)

    def by_reference(self, x):
        """What the reference gives, which moves its states on."""
        given = {f"{n}_in": a for n, a in self.states.items()}
        settings = {n: np.array(v) for n, v in self.graph.settings.items()}
        results = self.run_reference({"x": x, **given, **self.still, **settings})
        self.states = {n: results[f"{n}_out"] for n in self.states}
        return results["y"]

    def fed(self, x):
        names = {p.tensor: p.name for p in self.face.inputs}
        return {names[tensor]: array for tensor, array in {"x": x, **self.still}.items()}

    def close(self, found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=self.tolerance, atol=self.tolerance)


def compare(graph, reference, path):
    """Restores a model and holds it to its reference; refusals and differences are raised."""
    path.write_bytes(graph.data)
    model = reprise.restore(path)
    if graph.backward:
        return compare_whole(graph, model)
    assert model.interface.steppable, model.interface.why_not
    assert_paired(graph, reference, model.interface)
    both = Both(graph, reference, model)
    for steps in CALLS:
        compare_call(both, both.drawn(steps))
        for name, wanted in both.wanted().items():
            both.close(both.state[name], wanted)
    return None


def assert_paired(graph, reference, face):
    """Every state, and nothing else, is one; one that is given twice may be either."""
    found = {s.source_in: s.source_out for s in face.states if s.source_in in dict(s[:2] for s in graph.inputs)}
    assert found.keys() == graph.pairs.keys()
    assert all(found[n] in (graph.pairs[n], "beside") for n in found)
    assert len(face.states) - len(found) == len([n for n in reference.states if n not in graph.entered])
    assert {p.tensor for p in face.inputs} == {"x", *([graph.still] if graph.still else [])}


def compare_call(both, x):
    """One call: a run of all steps, and the same step by step."""
    wanted = both.by_reference(x)
    if both.x.time_axis is None:  # a step, or what a call takes at once
        found, both.state = both.model.step(both.fed(x), both.state)
        both.close(found[both.y.name], wanted)
        return
    whole, _ = both.model.run(both.fed(x), both.state)
    both.close(whole[both.y.name], wanted)
    outputs = []
    for step in range(x.shape[both.x.time_axis]):
        found, both.state = both.model.step(both.fed(x.take(step, both.x.time_axis)), both.state)
        outputs.append(found[both.y.name])
    both.close(np.stack(outputs, both.y.time_axis), wanted)


def compare_whole(graph, model):
    """What reads from the end: a call is what the file gives."""
    face, random = model.interface, np.random.default_rng(graph.seed)
    assert not face.steppable or next(p for p in face.inputs if p.tensor == "x").time_axis is None
    rows = graph.batch or 2
    feeds = {
        name: random.standard_normal([{"n": rows, None: rows, "t": 5}.get(k, k) for k in sizes]).astype(np.float32)
        for name, sizes, _ in graph.inputs
    }
    if graph.ids:
        feeds["x"] = random.integers(0, graph.ids, feeds["x"].shape)
    wanted = runner(graph.data)(feeds | {n: np.array(v) for n, v in graph.settings.items()})
    held = {s.name: feeds[s.source_in] for s in face.states}
    state = model.initial_state(rows).replace(held) if held else None
    call = model.step if face.steppable else model.run
    found, _ = call({p.name: feeds[p.tensor] for p in face.inputs}, state)
    shown = next(p for p in face.outputs if p.tensor == "y")
    tolerance = 5e-2 if graph.coarse else 1e-3
    np.testing.assert_allclose(found[shown.name], wanted["y"], rtol=tolerance, atol=tolerance)


def is_open(graph):
    """Whether an input has the shape of a state, so that the graph of a step may not tell them apart."""
    sizes = {name: [k for k in sizes if isinstance(k, int)] for name, sizes, _ in graph.inputs}
    return graph.axes == ["n", "d"] and any(sizes[n][-1:] == sizes["x"][-1:] for n in sizes if n != "x")


@pytest.mark.parametrize("number", range(60))
def test_a_random_model_computes_what_it_does_with_its_states_given(tmp_path, number):
    graph, reference = drawn(number)
    with contextlib.suppress(*([AmbiguousInterface] if is_open(graph) else [])):
        compare(graph, reference, tmp_path / "m.onnx")


def main(first, last):
    """Tries the models of many numbers, and tells of those that are not as their reference."""
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            graph, reference = drawn(number)
            try:
                compare(graph, reference, Path(folder) / "m.onnx")
                what = "ok"
            except (RepriseError, AssertionError, RuntimeError, StopIteration) as error:
                what = type(error).__name__
                sys.stdout.write(f"{number} {what}: {str(error).strip()[:300]} {graph.says}\n")
            outcomes[what] += 1
    sys.stdout.write(f"{dict(outcomes)}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
