"""Axes of ONNX models of other programs: what exporters bake in, and what cannot be stepped."""

import numpy as np
import pytest

import reprise
from reprise.wire import onnx
from tests.foreign.building import D, H, V, cell_weights, numbers, save, tensors, value
from tests.foreign.test_states import assert_run_is_steps


def test_a_batch_and_a_length_that_are_baked_in_are_set_free(tmp_path):
    nodes = [
        onnx.node("Transpose", ["x"], ["time first"], perm=[1, 0, 2]),
        onnx.node("GRU", ["time first", "W", "R", "B", "", "h"], ["Y", "h2"], hidden_size=H),
    ]
    inputs = [value("x", 4, 9, D), value("h", 1, 4, H)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["Y", "h2"], tensors(**cell_weights(3))))
    assert (model.interface.inputs[0].shape, model.interface.states[0].shape) == ((None, None, D), (1, None, H))
    assert_run_is_steps(model, rows=3)


def one_frame_a_call(path):
    """x [1, D, 1] → y [1, V, 1], with a cache that only one row and one frame fit."""
    nodes = [
        onnx.node("Reshape", ["x", "flat"], ["row"]),
        onnx.node("MatMul", ["row", "W"], ["w"]),
        onnx.node("Mul", ["h", "decay"], ["old"]),
        onnx.node("Add", ["old", "w"], ["h2"]),
        onnx.node("MatMul", ["h2", "O"], ["v"]),
        onnx.node("Reshape", ["v", "frame"], ["y"]),
    ]
    held = tensors(
        flat=np.array([1, D]),
        frame=np.array([1, V, 1]),
        decay=np.float32(0.5),
        W=numbers(D, H),
        O=numbers(H, V),
    )
    return save(path, nodes, [value("x", 1, D, 1), value("h", 1, H)], ["y", "h2"], held)


def test_a_file_of_one_step_a_call_runs_sequences_as_that_many_calls(tmp_path):
    model = reprise.restore(one_frame_a_call(tmp_path / "m.onnx"))
    assert model.interface.inputs[0].shape == (1, D, None)
    assert "the file takes one step a call" in model.interface.evidence[-1]
    assert_run_is_steps(model, rows=1)


def test_a_sequence_that_is_read_from_the_end_cannot_be_stepped(tmp_path):
    nodes = [onnx.node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=H, direction="bidirectional")]
    held = tensors(**cell_weights(4, directions=2))
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["Y"], held))
    assert not model.interface.steppable
    assert "also reads its sequence from the end" in model.interface.why_not
    assert model.run(numbers(4, 2, D))[0]["Y"].shape == (4, 2, 2, H)


def test_a_mean_over_the_steps_cannot_be_stepped(tmp_path):
    nodes = [
        onnx.node("GRU", ["x", "W", "R", "B"], ["Y"], hidden_size=H),
        onnx.node("ReduceMean", ["Y"], ["y"], axes=[0]),
    ]
    path = save(tmp_path / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(3)), opset=13)
    model = reprise.restore(path)
    assert not model.interface.steppable
    assert "gives other numbers in 'y'" in model.interface.why_not


@pytest.mark.parametrize("operator", ["Scan", "Loop"])
def test_what_a_loop_carries_is_state(tmp_path, operator):
    step = [
        onnx.node("MatMul", ["row", "W"], ["w"]),
        onnx.node("MatMul", ["before", "R"], ["r"]),
        onnx.node("Add", ["w", "r"], ["s"]),
        onnx.node("Tanh", ["s"], ["after"]),
        onnx.node("Identity", ["after"], ["shown"]),
    ]
    held = tensors(W=numbers(D, H), R=numbers(H, H), T=np.array(0))
    if operator == "Scan":
        inner = onnx.graph(
            step, "b", [onnx.value_info("before", 1), onnx.value_info("row", 1)], _shown("after", "shown")
        )
        nodes = [onnx.node("Scan", ["h", "x"], ["h2", "y"], body=inner, num_scan_inputs=1)]
    else:
        taken = [onnx.node("Gather", ["x", "i"], ["row"], axis=0), onnx.node("Identity", ["go"], ["on"])]
        inputs = [onnx.value_info("i", 7, []), onnx.value_info("go", 9, []), onnx.value_info("before", 1, ["n", H])]
        inner = onnx.graph([*taken, *step], "b", inputs, _shown("on", "after", "shown"))
        size = [onnx.node("Shape", ["x"], ["sizes"]), onnx.node("Gather", ["sizes", "T"], ["steps"])]
        nodes = [*size, onnx.node("Loop", ["steps", "", "h"], ["h2", "y"], body=inner)]
    inputs = [value("x", "t", "n", D), value("h", "n", H)]
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, inputs, ["y", "h2"], held))
    assert_run_is_steps(model)


def _shown(*names):
    return [onnx.value_info(name) for name in names]


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_that_are_baked_beside_a_free_length_are_set_free(tmp_path, rows):
    """A loop from a constant of so many rows, whose length is free: the free axis is not the batch."""
    step = [
        onnx.node("Gather", ["x", "i"], ["row"], axis=0),
        onnx.node("MatMul", ["row", "W"], ["w"]),
        onnx.node("MatMul", ["before", "R"], ["r"]),
        onnx.node("Add", ["w", "r"], ["s"]),
        onnx.node("Tanh", ["s"], ["after"]),
        onnx.node("Identity", ["after"], ["shown"]),
        onnx.node("Identity", ["go"], ["on"]),
    ]
    inputs = [onnx.value_info("i", 7, []), onnx.value_info("go", 9, []), onnx.value_info("before", 1, ["n", H])]
    inner = onnx.graph(step, "b", inputs, _shown("on", "after", "shown"))
    nodes = [
        onnx.node("Shape", ["x"], ["sizes"]),
        onnx.node("Gather", ["sizes", "T"], ["steps"]),
        onnx.node("Loop", ["steps", "", "zero"], ["last", "y"], body=inner),
    ]
    held = tensors(W=numbers(D, H), R=numbers(H, H), T=np.array(0), zero=np.zeros((rows, H), np.float32))
    model = reprise.restore(save(tmp_path / "m.onnx", nodes, [value("x", "t", rows, D)], ["y"], held))
    assert model.interface.inputs[0].shape == (None, None, D)
    assert_run_is_steps(model, rows=3)


def packed_gru(path, *sizes):
    """x [T, 1, D], and a state [1, 1, H] in a tensor of one layer that is cut out of it."""
    nodes = [
        onnx.node("Gather", ["packed", "first"], ["h"], axis=0),
        onnx.node("Unsqueeze", ["h", "first axis"], ["h0"]),
        onnx.node("GRU", ["x", "W", "R", "B", "", "h0"], ["Y", "h1"], hidden_size=H),
        onnx.node("Concat", ["h1"], ["packed2"], axis=0),
    ]
    held = [*tensors(**cell_weights(3), first=np.array(0)), onnx.tensor(np.array([0]), "first axis")]
    return save(path, nodes, [value("x", *sizes, D), value("packed", 1, 1, H)], ["Y", "packed2"], held)


def test_a_state_keeps_its_shape_in_the_run_that_tells_shapes(tmp_path):
    """With two along the first axis of the state the file runs too, and gives one back."""
    model = reprise.restore(packed_gru(tmp_path / "m.onnx", "t", 1))
    assert [(s.source_in, s.source_out) for s in model.interface.states] == [("packed", "packed2")]
    assert_run_is_steps(model)
