import numpy as np
import pytest

from reprise import verify
from reprise.graph import Value
from reprise.state import State
from tests.lift.loops import D, H, Loop

TOLERANCE = 3e-6


def written_by(build):
    """The models, with and without the fast path, of the loop whose outputs `build` gives."""
    loop = Loop()
    written = build(loop)
    return loop.models(*([written] if isinstance(written, Value) else written))


def keras_lstm(loop):
    """A product for each gate, kernels of input and state apart, hard sigmoid, in Keras' order of gates."""
    c, h = loop.state(), loop.state()

    def gate():
        return loop(
            "Add", loop("BiasAdd", loop.dense(H, loop.x, bias=False), loop.weight(H)), loop.dense(H, h, bias=False)
        )

    def hard(x):
        line = loop("Add", loop("Mul", loop.number(0.2), x), loop.number(0.5))
        return loop("ClipByValue", line, loop.number(0), loop.number(1))

    i, f, g, o = hard(gate()), hard(gate()), loop("Tanh", gate()), hard(gate())
    after = loop("Add", loop("Mul", f, c), loop("Mul", i, g))
    out = loop("Mul", o, loop("Tanh", after))
    loop.ends += [(c, after), (h, out)]
    return out


def peephole_lstm(loop):
    c, h = loop.state(), loop.state()
    i, j, f, o = loop.split(loop.dense(4 * H, loop.x, h), 4)
    wi, wf, wo = (loop.weight(H) for _ in range(3))
    f = loop("Sigmoid", loop("Add", loop("Add", f, loop.number(1)), loop("Mul", wf, c)))
    i = loop("Sigmoid", loop("Add", i, loop("Mul", wi, c)))
    after = loop("Add", loop("Mul", f, c), loop("Mul", i, loop("Tanh", j)))
    out = loop("Mul", loop("Sigmoid", loop("Add", o, loop("Mul", wo, after))), loop("Tanh", after))
    loop.ends += [(c, after), (h, out)]
    return out


def joined_lstm(loop):
    """BasicLSTMCell(state_is_tuple=False): c and h in one variable."""
    both = loop.state(2 * H)
    c, h = loop.split(both, 2)
    i, j, f, o = loop.split(loop.dense(4 * H, loop.x, h), 4)
    after = loop("Add", loop("Mul", loop("Sigmoid", f), c), loop("Mul", loop("Sigmoid", i), loop("Tanh", j)))
    out = loop("Mul", loop("Sigmoid", o), loop("Tanh", after))
    loop.ends.append((both, loop("ConcatV2", after, out, loop.constant(np.int32(1)), N=2)))
    return out


def residual_layers(loop):
    first = loop.lstm(loop.x)[1]
    second = loop.gru(first)
    return loop("Add", first, loop.rnn(loop("Tanh", loop.dense(H, loop("Add", first, second)))))


CELLS = {
    "lstm": (lambda loop: loop.lstm(loop.x)[1], ("LSTM",)),
    "lstm, negative forget bias": (lambda loop: loop.lstm(loop.x, -2.5)[1], ("LSTM",)),
    "lstm as keras": (keras_lstm, ("LSTM",)),
    "lstm with peepholes": (peephole_lstm, ("LSTM",)),
    "lstm of one state": (joined_lstm, ("LSTM",)),
    "gru": (lambda loop: loop.gru(loop.x), ("GRU",)),
    "gru, the other way": (lambda loop: loop.gru_other_way(loop.x), ("GRU",)),
    "gru, reset after": (lambda loop: loop.gru_reset_after(loop.x), ("GRU",)),
    "rnn": (lambda loop: loop.rnn(loop.x), ("RNN",)),
    "rnn of relu": (lambda loop: loop.rnn(loop.x, "Relu"), ("RNN",)),
    "layers": (residual_layers, ("LSTM", "GRU", "RNN")),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_known_cell_becomes_its_operator_with_the_same_numbers(name):
    build, operators = CELLS[name]
    fast, general = written_by(build)
    assert fast.lifted.fast == operators
    assert general.lifted.fast == ()
    assert "Loop" not in {node.op_type for node in fast.lifted.graph.node}
    verify.compare(general, fast, steps=16, tolerance=TOLERANCE).raise_if_different()


def bounded_cell_state(loop):
    """LSTMCell(cell_clip=…): ONNX bounds what goes into activations, which is another thing."""
    c, h = loop.state(), loop.state()
    i, j, f, o = loop.split(loop.dense(4 * H, loop.x, h), 4)
    after = loop("Add", loop("Mul", loop("Sigmoid", f), c), loop("Mul", loop("Sigmoid", i), loop("Tanh", j)))
    after = loop("ClipByValue", after, loop.number(-0.1), loop.number(0.1))
    out = loop("Mul", loop("Sigmoid", o), loop("Tanh", after))
    loop.ends += [(c, after), (h, out)]
    return out


def projected(loop):
    """LSTMCell(num_proj=…)."""
    c, m = loop.state(), loop.state()
    i, j, f, o = loop.split(loop.dense(4 * H, loop.x, m), 4)
    after = loop("Add", loop("Mul", loop("Sigmoid", f), c), loop("Mul", loop("Sigmoid", i), loop("Tanh", j)))
    out = loop.dense(H, loop("Mul", loop("Sigmoid", o), loop("Tanh", after)), bias=False)
    loop.ends += [(c, after), (m, out)]
    return out


def unlike_gates(loop):
    """One gate with an activation of its own, which ONNX cannot say."""
    c, h = loop.state(), loop.state()
    i, j, f, o = loop.split(loop.dense(4 * H, loop.x, h), 4)
    after = loop("Add", loop("Mul", loop("Relu", f), c), loop("Mul", loop("Sigmoid", i), loop("Tanh", j)))
    out = loop("Mul", loop("Sigmoid", o), loop("Tanh", after))
    loop.ends += [(c, after), (h, out)]
    return out


def last_output_used(loop):
    h = loop.state()
    out = loop("Tanh", loop.dense(H, loop.x, h))
    loop.ends.append((h, out))
    return loop("Mul", out, h)


def gate_of_one_row(loop):
    """A slice that takes the first row of the batch beside its columns."""
    h = loop.state()
    both = loop.dense(2 * H, loop.x, h)
    bounds = [loop.constant(np.array(b, np.int32)) for b in ([0, 0], [1, H], [1, 1])]
    out = loop("Tanh", loop("StridedSlice", both, *bounds))
    loop.ends.append((h, out))
    return out


def ends_as_a_whole(loop):
    """Two steps, whatever the length of the sequence."""
    over = loop("GreaterEqual", loop.frame.counter, loop.constant(np.int32(2)))
    h = loop.state()
    out = loop("Tanh", loop.dense(H, loop.x, h))
    loop.ends.append((h, loop("Select", over, h, out)))
    return loop("Select", over, loop.zeros(), out)


STAY = {
    "the batch ends as a whole": (ends_as_a_whole, "the batch ends as a whole before the sequence does"),
    "a gate of one row": (gate_of_one_row, "belongs to no cell that is known"),
    "a bounded cell state": (bounded_cell_state, "belongs to no cell that is known"),
    "a projection": (projected, "belongs to no cell that is known"),
    "unlike gates": (unlike_gates, "belongs to no cell that is known"),
    "the last output is used again": (last_output_used, "carried from the last step, is used outside of its cell"),
    "the cell state of each step is written": (lambda loop: loop.lstm(loop.x)[::-1], "between the cells"),
    "rows of a batch meet": (
        lambda loop: loop("ReverseV2", loop.rnn(loop.x), loop.constant(np.zeros(1, np.int32))),
        "operator 'ReverseV2' (node 'while/ReverseV2_",
    ),
}


@pytest.mark.parametrize("name", STAY)
def test_what_onnx_cannot_say_stays_a_loop(name):
    build, reason = STAY[name]
    fast, general = written_by(build)
    assert fast.lifted.fast == ()
    assert reason in fast.lifted.misses[0]
    verify.compare(general, fast, steps=3, batch=1, tolerance=0).raise_if_different()


def rows_that_end(loop, written, keep_state=True):
    """`dynamic_rnn(sequence_length=…)`: what `written` makes of the output, until a row of the batch ends."""
    h = loop.state()
    out = loop("Tanh", loop.dense(H, loop.x, h))
    loop.ends.append((h, loop("Select", loop.ended(), h, out) if keep_state else out))
    return written(loop, out)


PROTECTED = {
    "the output": lambda loop, out: loop("Select", loop.ended(), loop.zeros(), out),
    "something made of it": lambda loop, out: loop(
        "Select", loop.ended(), loop.zeros(), loop("Sub", loop.number(3), out)
    ),
}


@pytest.mark.parametrize("name", PROTECTED)
def test_rows_that_end_before_others_keep_their_state(name):
    fast, general = written_by(lambda loop: rows_that_end(loop, PROTECTED[name]))
    assert fast.lifted.fast == ("RNN",)
    random = np.random.default_rng(0)
    lengths = np.array([0, 2, 5, 9, -1], np.int32)  # none, some, all, more than there are, fewer than none
    inputs = {"x": random.normal(size=(5, len(lengths), D)), "lengths": lengths}
    state = general.initial_state(len(lengths)).replace({"layer0.h": random.normal(size=(len(lengths), H))})
    wanted, after = general.run(inputs, state)
    found, got = fast.run(inputs, State(state))
    output = next(iter(wanted))
    np.testing.assert_allclose(found[output], wanted[output], atol=TOLERANCE)
    np.testing.assert_allclose(got["layer0.h"], after["layer0.h"], atol=TOLERANCE)
    np.testing.assert_array_equal(got["layer0.h"][0], state["layer0.h"][0])
    assert not found[output][2:, 1].any()


@pytest.mark.parametrize(
    ("written", "keep_state"),
    [(lambda loop, out: out, True), (PROTECTED["the output"], False)],
    ids=["output", "state"],
)
def test_a_loop_of_which_a_part_goes_on_after_the_end_stays_a_loop(written, keep_state):
    fast, _ = written_by(lambda loop: rows_that_end(loop, written, keep_state))
    assert fast.lifted.fast == ()
