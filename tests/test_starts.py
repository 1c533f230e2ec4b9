"""States that a model computes from its inputs: an image, a code, a source sentence read to its end."""

import numpy as np
import pytest

import reprise
from reprise.errors import CallError, StateError
from reprise.examine import examine
from reprise.state import State
from tests.graphs import D, H, N, T, V, dense, gru, rolled, saved
from tests.tensorflow.building import tf, v1

SOURCE = 6


def captioner(look=lambda image, rows: (rows, tf.tanh(dense("start", image, H)))):
    """A decoder over [T, N, D] whose first state comes from an image [N, 3]."""
    image = v1.placeholder(tf.float32, [None, 3], "image")
    rows, first = look(image, v1.placeholder(tf.float32, [None, None, D], "x"))
    hidden, _ = rolled(lambda x, h: gru(x, h, "decoder"), rows, [first])
    tf.identity(tf.tensordot(hidden, v1.get_variable("output", [H, V]), [[2], [0]]), "y")


def translator(attention=False, same=False):
    """An encoder whose last state the decoder starts from; with `attention`, each step looks at all of its states."""
    target = v1.placeholder(tf.float32, [None, None, D], "x")
    source = target if same else v1.placeholder(tf.float32, [None, None, D], "source")
    zeros = tf.zeros([tf.shape(source)[1], H])
    memory, (last,) = rolled(lambda x, h: gru(x, h, "encoder"), source, [zeros])

    def step(x, h):
        weights = tf.nn.softmax(tf.reduce_sum(memory * h, 2, keepdims=True), axis=0)
        context = tf.reduce_sum(weights * memory, 0) if attention else x
        return gru(tf.concat([x, context], 1), h, "decoder")

    hidden, _ = rolled(step, target, [last])
    tf.identity(tf.tensordot(hidden, v1.get_variable("output", [H, V]), [[2], [0]]), "y")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def by_steps(model, xs, state, given=None):
    rows = []
    for x in xs:
        outputs, state = model.step({"x": x, **(given or {})}, state)
        rows.append(outputs["y"])
    return np.stack(rows), state


def agree(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_first_state_is_computed_set_and_stepped(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    xs, image = numbers(T, N, D), numbers(N, 3, seed=1)
    first = model.initial_state(inputs={"image": image})
    whole, _ = model.run({"x": xs, "image": image})
    agree(by_steps(model, xs, first)[0], whole["y"])
    other = first.replace({"layer0.h": numbers(N, H, seed=2)})
    agree(by_steps(model, xs, other)[0], model.run({"x": xs}, other)[0]["y"])
    assert not np.allclose(model.run({"x": xs}, other)[0]["y"], whole["y"])


def test_rows_that_a_file_bakes_in_are_free_where_the_first_state_is_computed_too(tmp_path):
    def graph():
        image = v1.placeholder(tf.float32, [N, 3], "image")
        hidden, _ = rolled(gru, v1.placeholder(tf.float32, [T, N, D], "x"), [tf.tanh(dense("start", image, H))])
        tf.identity(hidden * 2.0, "y")

    model = reprise.restore(saved(tmp_path, graph))
    assert {p.name: p.shape for p in model.interface.inputs} == {"x": (None, None, D), "image": (None, 3)}
    xs, image = numbers(T + 1, N + 2, D), numbers(N + 2, 3, seed=1)
    whole = model.run({"x": xs, "image": image})[0]["y"]
    for row in range(N + 2):
        agree(model.run({"x": xs[:, row : row + 1], "image": image[row : row + 1]})[0]["y"][:, 0], whole[:, row])


def test_the_first_step_computes_what_is_pending_and_later_ones_do_not(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    xs, image = numbers(T, N, D), numbers(N, 3, seed=1)
    outputs, state = model.step({"x": xs[0], "image": image}, model.initial_state(N))
    assert not state.pending
    agree(outputs["y"], model.run({"x": xs, "image": image})[0]["y"][0])
    agree(by_steps(model, xs[1:], state)[0], model.run({"x": xs, "image": image})[0]["y"][1:])


def test_zeros_that_the_caller_sets_are_not_computed_again(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    xs, image = numbers(T, N, D), numbers(N, 3, seed=1)
    zeros = model.initial_state(N).replace({"layer0.h": np.zeros((N, H))})
    assert not np.allclose(model.run({"x": xs}, zeros)[0]["y"], model.run({"x": xs, "image": image})[0]["y"])


def test_what_is_pending_stays_so_in_a_file(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    model.initial_state(N).save(tmp_path / "state")
    assert State.load(tmp_path / "state").pending == {"layer0.h"}
    assert "from the inputs" in repr(State.load(tmp_path / "state"))


def test_a_missing_input_of_the_first_state_is_named(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    with pytest.raises(CallError, match=r"input 'image' .* missing.*state 'layer0.h' is computed from it"):
        model.step({"x": numbers(N, D)})


def test_a_code_beside_every_row_is_given_at_every_step(tmp_path):
    def look(image, rows):
        beside = tf.tile(image[None], [tf.shape(rows)[0], 1, 1])
        return tf.concat([rows, beside], 2), dense("start", image, H)

    model = reprise.restore(saved(tmp_path, lambda: captioner(look)))
    xs, image = numbers(T, N, D), {"image": numbers(N, 3, seed=1)}
    agree(by_steps(model, xs, None, image)[0], model.run({"x": xs, **image})[0]["y"])


@pytest.mark.parametrize("attention", [False, True])
def test_a_decoder_steps_from_its_encoder(tmp_path, attention):
    model = reprise.restore(saved(tmp_path, lambda: translator(attention)))
    xs, source = numbers(T, N, D), {"source": numbers(SOURCE, N, D, seed=1)}
    assert [s.name for s in model.interface.states] == ["layer0.h"]
    assert any("runs to its end before the first step" in e for e in model.interface.evidence)
    whole, ended = model.run({"x": xs, **source})
    steps, last = by_steps(model, xs, model.initial_state(inputs=source), source if attention else None)
    agree(steps, whole["y"])
    agree(last["layer0.h"], ended["layer0.h"])


def test_a_first_state_of_the_whole_sequence_is_not_computed_from_a_step(tmp_path):
    model = reprise.restore(saved(tmp_path, lambda: translator(same=True)))
    xs = numbers(T, N, D)
    with pytest.raises(CallError, match=r"whole of input 'x', of which a step has one row: begin with initial_state"):
        model.step(xs[0])
    agree(by_steps(model, xs, model.initial_state(inputs={"x": xs}))[0], model.run(xs)[0]["y"])


def test_attention_over_the_sequence_that_is_stepped_is_told(tmp_path):
    interface = reprise.restore(saved(tmp_path, lambda: translator(attention=True, same=True))).interface
    assert not interface.steppable
    assert "looks at the whole sequence before the first step" in interface.why_not


def test_another_batch_is_refused(tmp_path):
    model = reprise.restore(saved(tmp_path, captioner))
    with pytest.raises(StateError, match=r"expected shape \(3, 5\) for 3 rows"):
        model.run({"x": numbers(T, N, D), "image": numbers(N, 3)}, model.initial_state(2))


def test_an_export_computes_its_first_state_too(tmp_path):
    model = reprise.restore(saved(tmp_path, lambda: translator(attention=True)))
    reprise.export(model, tmp_path / "model.onnx")
    back = reprise.restore(tmp_path / "model.onnx")
    source = {"source": numbers(SOURCE, N, D, seed=1)}
    agree(back.initial_state(inputs=source)["layer0.h"], model.initial_state(inputs=source)["layer0.h"])


def coverage():
    """A decoder that keeps how much it has looked at each row of a memory [S, N, H]: a state as long as the memory."""
    memory = v1.placeholder(tf.float32, [None, None, H], "memory")
    rows = v1.placeholder(tf.float32, [None, None, D], "x")

    def step(x, seen, h):
        scores = tf.transpose(tf.reduce_sum(memory * h, 2))
        seen = seen + tf.nn.softmax(scores - seen)
        context = tf.reduce_sum(memory * tf.transpose(seen)[:, :, None], 0)
        return seen, *gru(tf.concat([x, context], 1), h, "decoder")

    length, count = tf.shape(memory)[0], tf.shape(memory)[1]
    zeros = [tf.zeros([count, length]), tf.zeros([count, H])]
    hidden, _ = rolled(step, rows, zeros)
    tf.identity(tf.tensordot(hidden, v1.get_variable("output", [H, V]), [[2], [0]]), "y")


def test_a_state_as_long_as_the_source_takes_its_size_from_the_source(tmp_path):
    model = reprise.restore(saved(tmp_path, coverage))
    xs, memory = numbers(T, N, D), {"memory": numbers(SOURCE, N, H, seed=1)}
    (long,) = [s for s in model.interface.states if s.shape == (None, None)]
    assert long.initial == "inputs"
    assert model.initial_state(inputs=memory)[long.name].shape == (N, SOURCE)
    whole, ended = model.run({"x": xs, **memory})
    steps, last = by_steps(model, xs, None, memory)
    agree(steps, whole["y"])
    agree(last[long.name], ended[long.name])


def autoencoder():
    """A decoder of a code drawn by an encoder; its cost compares with its own inputs, and adds a divergence."""
    rows = v1.placeholder(tf.float32, [None, None, D], "x")
    source = v1.placeholder(tf.float32, [None, None, D], "source")
    _, (last,) = rolled(lambda x, h: gru(x, h, "encoder"), source, [tf.zeros([tf.shape(source)[1], H])])
    mean, spread = dense("mean", last, 3), dense("spread", last, 3)
    code = mean + tf.exp(spread / 2) * tf.random.normal(tf.shape(mean))
    hidden, _ = rolled(lambda x, h: gru(x, h, "decoder"), rows, [tf.tanh(dense("first", code, H))])
    made = tf.tensordot(hidden, v1.get_variable("output", [H, D]), [[2], [0]], name="y")
    divergence = -0.5 * tf.reduce_mean(1 + spread - mean**2 - tf.exp(spread))
    tf.add(tf.reduce_mean((made - rows) ** 2), divergence, name="cost")


def test_the_cost_of_an_autoencoder_is_no_output_and_its_decoder_is_stepped(tmp_path):
    model = reprise.restore(saved(tmp_path, autoencoder))
    assert [p.tensor for p in model.interface.outputs] == ["y:0"]
    xs, first = numbers(T, N, D), model.initial_state(N).replace({"layer0.h": numbers(N, H, seed=1)})
    agree(by_steps(model, xs, first)[0], model.run({"x": xs}, first)[0]["y"])


def stored_rows(**options):
    """Each row of a batch of two starts from a row of a variable."""
    rows = v1.placeholder(tf.float32, [None, None, D], "x")
    hidden, _ = rolled(lambda x, h: gru(x, h), rows, [v1.get_variable("kept", [2, H], **options)])
    tf.identity(tf.tensordot(hidden, v1.get_variable("output", [H, V]), [[2], [0]]), "y")


def test_rows_that_the_file_starts_from_are_of_no_other_number(tmp_path):
    model = reprise.restore(saved(tmp_path, stored_rows))
    with pytest.raises(StateError, match=r"'layer0.h' starts from values that the file holds for 2 rows, and 3 were"):
        model.run({"x": numbers(T, 3, D)})
    of_three = State({"layer0.h": numbers(3, H)})
    assert model.run({"x": numbers(T, 3, D)}, of_three)[0]["y"].shape == (T, 3, V)


def test_a_state_in_a_variable_that_is_never_saved_starts_as_the_graph_says(tmp_path):
    half = v1.constant_initializer(0.5)
    local = {"collections": [v1.GraphKeys.LOCAL_VARIABLES], "trainable": False, "initializer": half}
    model = reprise.restore(saved(tmp_path, lambda: stored_rows(**local)))
    np.testing.assert_array_equal(model.initial_state(3)["layer0.h"], np.full((3, H), 0.5, np.float32))


def test_a_state_that_the_file_holds_starts_from_zeros_on_demand(tmp_path):
    path = saved(tmp_path, stored_rows)
    model = reprise.restore(path, zero_state=True)
    assert [s.initial for s in model.interface.states] == ["zeros"]
    xs, zeros = numbers(T, 3, D), State({"layer0.h": np.zeros((3, H), np.float32)})
    assert not model.initial_state(3)["layer0.h"].any()
    agree(model.run({"x": xs})[0]["y"], reprise.restore(path).run({"x": xs}, zeros)[0]["y"])
    assert "--zero-state takes zeros" in str(examine(path))
    assert "--zero-state takes zeros" not in str(examine(path, zero_state=True))
