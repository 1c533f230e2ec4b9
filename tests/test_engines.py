"""Single steps in NumPy: the numbers of ONNX Runtime, taken where both agree, and nowhere else."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import blas, engines
from reprise.errors import CallError, LiftError
from reprise.formats import StoredModel
from reprise.model import RecurrentModel
from reprise.stack import StackDense, lift_stack, stepping
from reprise.verify import baked
from reprise.verify.drawing import Draw
from reprise.verify.report import difference
from tests.export import models, stacks

# Unusual activations under which rounding does not grow from step to step.
UNUSUAL = {"LSTM": ("Tanh", "Sigmoid", "Relu"), "GRU": ("Sigmoid", "Sigmoid"), "RNN": ("Sigmoid",)}


def largest_difference(model_a, model_b, steps):
    """The largest |a − b| / (1 + |a|) of an output or state, over carried steps of one row from random state."""
    draw = Draw(
        model_a.interface, model_a.vocabulary, 1, baked(model_a.interface, "time_axis") or 1, np.random.default_rng(5)
    )
    first = model_a.initial_state()
    states = [first.replace(draw.state(first))] * 2
    worst = 0.0
    for step in range(steps):
        given_now = draw.inputs()
        found = [m.run(given_now, s, draw.settings) for m, s in zip((model_a, model_b), states, strict=True)]
        states = [after for _, after in found]
        both = [{**outputs, **after} for outputs, after in found]
        worst = max([worst, *(difference("", step, name, a, both[1][name]).error for name, a in both[0].items())])
    return worst


@given(
    st.sampled_from(stacks.KINDS),
    st.sampled_from(["embedding", "one-hot", "features"]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_numpy_gives_the_numbers_of_onnx_runtime_over_carried_steps(kind, entrance, layers, usual, ready):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "_READY", 2**20 if ready else 0)
        activations = None if usual else UNUSUAL[kind[0]]
        model = stacks.model(kind[0], entrance, layers, reset_after=kind[1], activations=activations)
        stepped = model.with_engine("numpy")
        assert stepped.engine == "numpy"
        assert largest_difference(stepped, model.with_engine("onnxruntime"), steps=256) < 1e-4


@pytest.mark.parametrize("major", ["batch", "time", "none"])
def test_a_step_is_a_run_of_one_step_in_every_layout(major):
    made = stacks.stack()
    face = stacks.interface(made)
    time, batch = {"batch": (1, 0), "time": (0, 1), "none": (0, None)}[major]
    free = (None,) if batch is None else (None, None)
    source = replace(face.inputs[0], shape=free, time_axis=time, batch_axis=batch)
    targets = [replace(p, shape=(*free, stacks.V), time_axis=time, batch_axis=batch, rows=None) for p in face.outputs]
    graph = lift_stack(made, replace(face, inputs=(source,), outputs=tuple(targets)))
    model = RecurrentModel(StoredModel(Path("by hand"), "hand", "", None), lambda _: graph, lambda: None, None)
    state = model.initial_state().replace({"packed": np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32)})
    ids = np.full(tuple(1 for _ in free[1:]), 3, np.int32)
    runs = [m.run(ids.reshape([1] * len(free)), state) for m in map(model.with_engine, ("numpy", "onnxruntime"))]
    for engine, (outputs, after) in zip(("numpy", "onnxruntime"), runs, strict=True):
        stepped, after_step = model.with_engine(engine).step(ids, state)
        assert stepped["logits"].shape == runs[1][0]["logits"].shape[1:]
        np.testing.assert_array_equal(stepped["logits"].ravel(), outputs["logits"].ravel())
        np.testing.assert_array_equal(after_step["packed"], after["packed"])
        np.testing.assert_allclose(after["packed"], runs[1][1]["packed"], atol=1e-6)


def test_numpy_is_taken_unasked_where_the_weights_are_many(monkeypatch):
    model = stacks.model()
    assert (model.engine, model.why_engine) == ("onnxruntime", "with 240 weights NumPy would not be faster")
    monkeypatch.setattr(engines, "FEWEST", 200)
    assert (model.with_engine("auto").engine, model.with_engine("auto").why_engine) == ("numpy", "")


@pytest.mark.parametrize("name", ["_sigmoid_of_half", "_tanh"])
def test_an_engine_with_other_numbers_is_not_taken(monkeypatch, name):
    wrong = dict(stepping._IN_PLACE, **{k: lambda x: None for k, f in stepping._IN_PLACE.items() if f.__name__ == name})
    monkeypatch.setattr(stepping, "_IN_PLACE", wrong)
    with pytest.raises(CallError, match=r"engine: NumPy cannot run this model: NumPy gives 'logits' an error of .* at"):
        stacks.model().with_engine("numpy")


def test_an_engine_that_cannot_run_a_model_is_refused_with_the_reason():
    with pytest.raises(
        CallError, match=r"NumPy cannot run this model: the model cannot be stepped: .*Use onnxruntime, or"
    ):
        models.model(steppable=False).with_engine("numpy")
    with pytest.raises(CallError, match="engine: expected one of auto, numpy, onnxruntime, found 'gpu'"):
        stacks.model().with_engine("gpu")


def test_threads_of_products_that_cannot_be_limited_leave_the_steps_to_onnx_runtime(monkeypatch):
    monkeypatch.setattr(blas, "settable", lambda: False)
    with pytest.raises(CallError, match="the threads of NumPy's products cannot be limited here"):
        stacks.model().with_engine("numpy")


def test_several_rows_and_several_steps_are_for_onnx_runtime(monkeypatch):
    model, calls = stacks.model().with_engine("numpy"), []
    monkeypatch.setattr(stepping.StepEngine, "run", lambda *_: calls.append(1))
    model.run(np.zeros((1, 5), np.int32))
    model.step(np.zeros(3, np.int32))
    assert not calls


@pytest.mark.parametrize("entrance", ["embedding", "one-hot"])
def test_an_id_that_the_model_does_not_have_is_what_it_is_on_onnx_runtime(entrance):
    model = stacks.model(entrance=entrance)
    for beyond in (-1, stacks.V):
        ids, found = np.array([beyond], np.int32), []
        for engine in ("numpy", "onnxruntime"):
            try:
                found.append(model.with_engine(engine).step(ids)[0]["logits"].tolist())
            except LiftError as error:
                found.append(str(error))
        assert found[0] == found[1]


def test_a_state_is_left_as_it_is_and_numbers_beyond_the_range_give_no_warning():
    model = stacks.model(entrance="features").with_engine("numpy")
    state = model.initial_state()
    before = {name: array.copy() for name, array in state.items()}
    model.step(np.full((1, stacks.E), 1e38, np.float32), state)
    assert all(np.array_equal(state[name], array) for name, array in before.items())


def with_outputs(made, outputs):
    """The model of a stack whose outputs [N·T, …] are these layers, by name."""
    port = stacks.interface(made).outputs[0]
    ports = [replace(port, name=n, shape=(None, made.layers[at].width), role="values") for n, at in outputs.items()]
    graph = lift_stack(replace(made, outputs=outputs), replace(stacks.interface(made), outputs=tuple(ports)))
    return RecurrentModel(StoredModel(Path("by hand"), "hand", "", None), lambda _: graph, lambda: None, None)


@pytest.mark.parametrize("entrance", ["embedding", "one-hot"])
@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_what_a_caller_writes_into_outputs_changes_neither_state_nor_weights(engine, entrance):
    made = stacks.stack("GRU", entrance, layers=1)
    side = StackDense(0, np.ones((made.layers[0].width, 2), np.float32), None)
    made = replace(made, layers=(*made.layers[:2], side))
    model = with_outputs(made, {"h": 1, "same": 1, "side": 2}).with_engine(engine)
    ids, results = np.array([3], np.int32), []
    for call in (model.step, lambda x, s: model.run(x[None], s)) * 2:
        outputs, state = call(ids, model.initial_state())
        results.append([array.ravel().copy() for array in (*outputs.values(), state["packed"])])
        for array in outputs.values():
            array[...] = 9
        assert not (state["packed"] == 9).any()
    for found in results:
        np.testing.assert_allclose(found[0], found[1])
        np.testing.assert_allclose(found[2], results[0][2])


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_of_numpy_is_a_step_as_an_array_is():
    model = stacks.model(entrance="features").with_engine("numpy")
    row, state = np.full((1, stacks.E), 0.5, np.float32), model.initial_state()
    found = model.step(np.asmatrix(row), state)[0]["logits"]
    np.testing.assert_array_equal(found, model.step(row, state)[0]["logits"])


@pytest.mark.skipif(not blas.settable(), reason="NumPy is linked with another library than OpenBLAS")
def test_products_use_the_threads_of_the_call_and_leave_their_number_as_it_was():
    number = blas._number()
    before = number.get()
    with blas.Limit(2):
        assert number.get() == 2
        with blas.Limit(1):
            assert number.get() == 1
    assert number.get() == before


@pytest.mark.skipif(not blas.settable(), reason="NumPy is linked with another library than OpenBLAS")
def test_calls_side_by_side_leave_the_number_of_threads_as_it_was():
    number = blas._number()
    before = number.get()

    def often(threads):
        for _ in range(500):
            with blas.Limit(threads):
                assert number.get() <= threads

    running = [threading.Thread(target=often, args=[n]) for n in (1, 2, 3)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert number.get() == before
