"""ONNX Runtime as an engine without memory: same numbers in any thread, and one kind of error."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reprise.errors import CallError, LiftError
from reprise.lift.model import assemble
from reprise.operators.rules.block import Block, Names
from reprise.runtime import Engine
from reprise.wire import onnx

TABLE = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)  # too large to stand in the graph itself


def engine(op="Gather", **options):
    block = Block(Names())
    ids = block.names.fresh("ids")
    rows = block.one(op, block.names.constant(TABLE, "table"), ids)
    graph, weights = assemble(block, [("ids", "int64", (None,))], [("rows", rows, "float32", (None, 40))], "look-up")
    assert list(weights) == ["table"]
    return Engine(graph, weights, **options)


def test_an_engine_names_what_goes_in_and_out_and_takes_numbers_of_its_types():
    made = engine()
    assert (dict(made.inputs), made.outputs) == ({"ids": np.dtype(np.int64)}, ["rows"])
    found = made.run({"ids": np.array([3, 1], np.int32), "nobody asks": np.zeros(1)}, ["rows"])["rows"]
    np.testing.assert_array_equal(found, TABLE[[3, 1]])


def test_an_engine_keeps_nothing_of_the_arrays_that_it_was_given():
    given = np.random.default_rng(0).normal(size=(64, 40)).astype(np.float32)
    expected = np.ones((2, 64), np.float32) @ given
    for op, feed, numbers in (("Gather", np.array([3, 1]), given[[3, 1]]), ("MatMul", np.ones((2, 64)), expected)):
        held = given.copy()
        block = Block(Names())
        feeds, known = block.names.fresh("x"), block.names.constant(held, "held")
        made = block.one(op, *((known, feeds) if op == "Gather" else (feeds, known)))
        kind = "int64" if op == "Gather" else "float32"
        graph, weights = assemble(block, [("x", kind, feed.shape)], [("y", made, "float32", (2, 40))], "whole")
        engine_of_it = Engine(graph, weights)
        held[:] = np.nan
        np.testing.assert_allclose(engine_of_it.run({"x": feed}, ["y"])["y"], numbers, rtol=1e-5)


def test_numbers_that_are_copied_later_are_made_anew_each_time():
    names = Names()
    name = names.later(lambda: TABLE[::-1].copy(), "turned")
    block = Block(names)
    rows = block.one("Gather", name, block.names.fresh("ids"))
    graph, weights = assemble(block, [("ids", "int64", (None,))], [("rows", rows, "float32", (None, 40))], "look-up")
    assert (list(weights), len(weights)) == (["turned"], 1)
    assert weights["turned"] is not weights["turned"]
    np.testing.assert_array_equal(Engine(graph, weights).run({"ids": np.array([2])}, ["rows"])["rows"], TABLE[[-3]])


def test_threads_share_an_engine():
    made = engine()
    drawn = np.random.default_rng(1).integers(0, 50, (200, 7))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ids: made.run({"ids": ids}, ["rows"])["rows"], drawn))
    np.testing.assert_array_equal(np.stack(found), TABLE[drawn])


def test_numbers_outside_the_graph_are_an_error_that_leaves_the_engine_whole():
    made = engine()
    with pytest.raises(LiftError, match=r"could not run on ids int64\[1\] from 50 to 50: indices element out of"):
        made.run({"ids": np.array([50])}, ["rows"])
    assert made.run({"ids": np.array([0])}, ["rows"])["rows"].shape == (1, 40)


def test_a_graph_that_is_none_is_refused():
    with pytest.raises(LiftError, match=r"ONNX Runtime refuses the lifted graph: .*NoSuchOperator"):
        engine("NoSuchOperator")


def test_a_number_of_threads_below_one_is_refused():
    with pytest.raises(CallError, match="threads: expected at least 1, found 0"):
        engine(threads=0)


def loop(body_op, trips):
    """A model that applies an operator to its input again and again: without `trips`, for ever."""
    going, x = onnx.value_info("going", onnx.BOOL, []), onnx.value_info("h", 1, None)
    body = onnx.graph(
        [onnx.node("Identity", ["going"], ["again"]), onnx.node(body_op, ["h", "h"], ["more"])],
        "body",
        [onnx.value_info("i", onnx.INT64, []), going, x],
        [onnx.value_info("again"), onnx.value_info("more")],
    )
    node = onnx.node("Loop", ["trips" if trips else "", "yes", "x"], ["y"], body=body)
    known = [onnx.tensor(np.asarray(True), "yes"), onnx.tensor(np.asarray(trips or 0, np.int64), "trips")]
    return onnx.graph([node], "m", [onnx.value_info("x", 1, [1])], [onnx.value_info("y", 1, [1])], known)


def test_a_loop_without_an_end_is_stopped_and_one_beside_it_is_not():
    endless, ends = Engine(loop("Mul", None), {}, time_limit=0.3), Engine(loop("Add", 3), {}, time_limit=0.3)
    with ThreadPoolExecutor(4) as pool:
        stopped = [pool.submit(endless.run, {"x": np.ones(1)}, ["y"]) for _ in range(3)]
        other = pool.submit(lambda: [ends.run({"x": np.ones(1)}, ["y"])["y"].item() for _ in range(50)])
        assert other.result() == [8] * 50
        for one in stopped:
            with pytest.raises(CallError, match=r"did not end within 0 seconds .* \(--time-limit\)"):
                one.result(timeout=20)


def test_a_time_limit_is_above_zero():
    with pytest.raises(CallError, match="time_limit: expected seconds above 0, found 0"):
        engine(time_limit=0)
