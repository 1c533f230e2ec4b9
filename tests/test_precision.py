"""Weights in fewer bits: the same equations, a drift that is measured, and no silent loss."""

import json

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reprise
from reprise.cli import execute
from reprise.errors import CallError, VerificationError
from reprise.lift import Lifted, quantised
from reprise.precision import Drift, check_drift
from reprise.runtime import Engine
from reprise.verify import check_steps
from reprise.wire import onnx as wire
from tests.export import models, stacks


@pytest.fixture
def small(monkeypatch):
    """Products of few weights are quantised too."""
    monkeypatch.setattr(quantised, "FEWEST", 1)


def restored(held, scales, bits, width):
    """The matrix that blocks stand for."""
    numbers = held if bits == 8 else np.stack([held & 15, held >> 4], axis=-1).reshape(*held.shape[:2], -1)
    whole = (numbers.astype(np.float32) - 2 ** (bits - 1)) * scales.reshape(*held.shape[:2], 1)
    return whole.reshape(len(held), -1)[:, :width]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 300)), elements=st.floats(-9, 9, width=32)),
    st.sampled_from([4, 8]),
)
def test_a_weight_in_blocks_is_at_most_a_step_of_its_scale_away(matrix, bits):
    held, scales = quantised.blocks(matrix, bits)
    steps = np.abs(scales).reshape(len(matrix), -1).repeat(quantised.BLOCK, 1)[:, : matrix.shape[1]]
    assert (np.abs(restored(held, scales, bits, matrix.shape[1]) - matrix) <= steps * 1.001 + 1e-30).all()


@pytest.mark.parametrize("kind", stacks.KINDS)
@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
def test_a_cell_in_8_bits_computes_what_it_computes_in_32(small, kind, entrance):
    model = stacks.model(kind[0], entrance, reset_after=kind[1])
    fewer = model.with_precision("int8", largest_drift=0.1)
    assert {"Scan", "MatMulNBits"} <= {node.op_type for node in fewer.lifted.graph.node}
    assert kind[0] not in {node.op_type for node in fewer.lifted.graph.node}
    assert 0 < fewer.drift.largest < 0.15
    check_steps(fewer, steps=16).raise_if_different()


def test_a_product_in_a_loop_is_one_in_fewer_bits(small):
    weights = {"W": np.random.default_rng(0).normal(0, 0.3, (8, 8)).astype(np.float32)}
    info, known = wire.value_info, [wire.tensor(np.asarray(3), "three"), wire.tensor(np.asarray(True), "yes")]
    inner = [wire.node("Identity", ["going"], ["on"]), wire.node("MatMul", ["h", "W"], ["after"])]
    ins = [info("i", wire.INT64, []), info("going", wire.BOOL, []), info("h", 1, None)]
    loop = wire.node(
        "Loop", ["three", "yes", "x"], ["y"], body=wire.graph(inner, "body", ins, [info("on"), info("after")])
    )
    graph = wire.graph([loop], "m", [info("x", 1, [1, 8])], [info("y", 1, [1, 8])], known)
    fewer = quantised.quantised(Lifted(models.interface(), graph, weights, {}, ()), 8)
    assert [n.op_type for n in fewer.graph.node[0].attribute[0].g.node] == ["Identity", "MatMulNBits"]
    x = np.ones((1, 8), np.float32)
    found = Engine(fewer.graph, fewer.weights, opsets=fewer.opsets).run({"x": x}, ["y"])["y"]
    np.testing.assert_allclose(found, x @ np.linalg.matrix_power(weights["W"], 3), atol=0.05)


def test_a_drift_beyond_what_is_allowed_is_refused_with_what_was_measured(small):
    with pytest.raises(
        VerificationError, match=r"precision int4: over 256 carried steps a logit .* at most 1e-06 \(bits"
    ):
        stacks.model().with_precision("int4", largest_drift=1e-6)
    with pytest.raises(VerificationError, match=r"change by at most nan .* at most 0\.05 \(\|a"):
        check_drift(Drift(256, float("nan")), "int8", 0.05)


def test_a_precision_that_a_model_cannot_have_is_refused(tmp_path):
    with pytest.raises(CallError, match="precision: expected one of float32, int8, int4, found 'int2'"):
        stacks.model().with_precision("int2")
    with pytest.raises(CallError, match="precision int8: the model has no product of many float32 weights"):
        stacks.model().with_precision("int8")
    reprise.export(stacks.model(), tmp_path / "m.onnx")
    with pytest.raises(CallError, match="numpy computes in float32 alone, and precision is int8"):
        reprise.restore(tmp_path / "m.onnx", engine="numpy", precision="int8")


def test_an_exported_file_has_its_drift_inside_and_gives_the_same_numbers(small, tmp_path):
    fewer = stacks.model("GRU").with_precision("int8", largest_drift=0.1)
    reprise.export(fewer, tmp_path / "m.onnx")
    held = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert json.loads(held["reprise.drift"]) == {"precision": "int8", **fewer.drift.to_json()}
    again, ids = reprise.restore(tmp_path / "m.onnx"), np.array([[1, 2, 3]], np.int32)
    np.testing.assert_array_equal(again.run(ids)[0]["logits"], fewer.run(ids)[0]["logits"])


def test_the_command_line_tells_the_drift(small, tmp_path, capsys):
    reprise.export(stacks.model(), tmp_path / "m.onnx")
    execute(["sample", str(tmp_path / "m.onnx"), "-l", "5", "--precision", "int8", "--largest-drift", "0.1"])
    assert "note: weights in int8: over 256 carried steps a logit changes by at most 0." in capsys.readouterr().err
