"""Checkpoints without any graph: refused with what is missing, and run once the caller says it."""

import json
import re

import numpy as np
import pytest

import reprise as package
from reprise.cli import execute
from reprise.errors import AmbiguousInterface, CallError, MissingFile
from reprise.vocabulary import Vocabulary
from tests.graphs import H, N, T, V
from tests.tensorflow.building import session, tf, v1, variable

LSTM = {"kind": "lstm", "forget_bias": 1.0, "activation": "tanh"}
STACK = "rnn/multi_rnn_cell/cell_"
#: Name → width of each state, what is said of the cells, and whether inputs are vectors.
MODELS = {
    "lstm": ({f"{STACK}{i}/lstm_cell.{letter}": H for i in range(2) for letter in "ch"}, LSTM, False),
    "lstm, all options": (
        {f"{STACK}0/lstm_cell.c": H, f"{STACK}0/lstm_cell.h": 3},
        {"kind": "lstm", "forget_bias": -0.5, "activation": "softsign", "cell_clip": 0.4},
        True,
    ),
    "gru": ({"rnn/gru_cell.h": H}, {"kind": "gru", "activation": "tanh"}, False),
    "rnn": ({"rnn/basic_rnn_cell.h": H}, {"kind": "rnn", "activation": "relu"}, True),
}


def affine(x, h, scope, width):
    joined = tf.concat([x, h], 1)
    return joined @ variable(f"{scope}/kernel", joined.shape[1], width) + variable(f"{scope}/bias", width)


def lstm_step(x, c, h, scope, cell):
    act = getattr(tf.nn, cell["activation"])
    with v1.variable_scope(scope):
        i, j, f, o = tf.split(affine(x, h, "lstm_cell", 4 * H), 4, axis=1)
        if "cell_clip" not in cell:
            c = tf.sigmoid(f + cell["forget_bias"]) * c + tf.sigmoid(i) * act(j)
            return c, tf.sigmoid(o) * act(c)
        by = {gate: variable(f"lstm_cell/w_{gate}_diag", H) for gate in "ifo"}
        c = tf.sigmoid(f + cell["forget_bias"] + by["f"] * c) * c + tf.sigmoid(i + by["i"] * c) * act(j)
        c = tf.clip_by_value(c, -cell["cell_clip"], cell["cell_clip"])
        out = tf.sigmoid(o + by["o"] * c) * act(c)
        return c, out @ variable("lstm_cell/projection/kernel", H, 3)


def gru_step(x, h, scope, cell):
    with v1.variable_scope(scope):
        r, u = tf.split(tf.sigmoid(affine(x, h, "gates", 2 * H)), 2, axis=1)
        return (u * h + (1 - u) * getattr(tf.nn, cell["activation"])(affine(x, r * h, "candidate", H)),)


def one_step(x, states, cell):
    """One step of all layers; the next states."""
    if cell["kind"] == "rnn":
        return [getattr(tf.nn, cell["activation"])(affine(x, states[0], "rnn/basic_rnn_cell", H))]
    if cell["kind"] == "gru":
        return list(gru_step(x, *states, "rnn/gru_cell", cell))
    after = []
    for layer in range(len(states) // 2):
        after += lstm_step(x, *states[2 * layer : 2 * layer + 2], f"rnn/multi_rnn_cell/cell_{layer}", cell)
        x = after[-1]
    return after


def write(prefix, widths, cell, vectors, *, averages=False, **options):
    """Trains one step, saves the weights alone, and gives what TensorFlow computes from random state."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(T, N, V)).astype(np.float32) if vectors else random.integers(0, V, (T, N), np.int32)
    state = [random.normal(0, 0.5, (N, n)).astype(np.float32) for n in widths.values()]
    first, steps = dict(zip(widths, state, strict=True)), []
    with session(seed=3) as opened:
        fed = [tf.zeros([N, n]) for n in widths.values()]
        x = v1.placeholder(tf.float32 if vectors else tf.int32, rows.shape[1:])
        after = one_step(x if vectors else tf.nn.embedding_lookup(variable("embedding", V, 4), x), fed, cell)
        logits = after[-1] @ variable("softmax_w", after[-1].shape[1], V) + variable("softmax_b", V)
        train = v1.train.AdamOptimizer().minimize(tf.reduce_sum(logits**2), v1.train.get_or_create_global_step())
        if averages:
            train = tf.group(train, v1.train.ExponentialMovingAverage(0.5).apply())
        opened.run(v1.global_variables_initializer())
        opened.run(train, {x: rows[0]})
        v1.train.Saver(**options).save(opened, str(prefix), write_meta_graph=False, write_state=False)
        for row in rows:
            values, *state = opened.run([logits, *after], {x: row, **dict(zip(fed, state, strict=True))})
            steps.append(values)
    return rows, first, np.stack(steps), dict(zip(widths, state, strict=True))


@pytest.fixture(scope="module", params=MODELS, ids=str)
def recorded(request, tmp_path_factory):
    widths, cell, vectors = MODELS[request.param]
    prefix = tmp_path_factory.mktemp("weights") / "weights.ckpt"
    version = v1.train.SaverDef.V1 if request.param == "gru" else v1.train.SaverDef.V2
    return prefix, cell, *write(prefix, widths, cell, vectors, write_version=version)


def test_sixteen_steps_from_random_state_are_those_of_tensorflow(recorded):
    prefix, cell, rows, first, logits, last = recorded
    model = package.restore(prefix, cell=cell)
    state = model.initial_state(N).replace(first)
    for row, expected in zip(rows, logits, strict=True):
        outputs, state = model.step(row, state)
        (found,) = outputs.values()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name, expected in last.items():
        np.testing.assert_allclose(state[name], expected, rtol=1e-4, atol=1e-5)


def test_what_is_said_decides_the_numbers(recorded):
    prefix, cell, rows, first, logits, _ = recorded
    other = {**cell, "forget_bias": 0.0} if cell["kind"] == "lstm" else {**cell, "activation": "sigmoid"}
    model = package.restore(prefix, cell=other)
    outputs, _ = model.run(np.moveaxis(rows, 0, 1), model.initial_state(N).replace(first))
    assert not np.allclose(np.moveaxis(next(iter(outputs.values())), 1, 0), logits, atol=1e-2)


def test_nothing_is_run_that_nobody_said_and_what_is_missing_is_listed(recorded):
    prefix, cell, *_ = recorded
    words = r"forget_bias=1\.0,activation=tanh" if cell["kind"] == "lstm" else "activation=tanh"
    granted = r"Give the values .* nothing between the layers \(no residual connections, no normalisation\) is assumed"
    with pytest.raises(MissingFile, match=rf"weights without .*--cell kind={cell['kind']},{words} \(in Pyt.*{granted}"):
        package.restore(prefix)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A language model with averages of its weights, beside a vocabulary."""
    folder = tmp_path_factory.mktemp("averaged")
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate("abcdefghijkl"[:V])}))
    write(folder / "model.ckpt-1", MODELS["gru"][0], MODELS["gru"][1], vectors=False, averages=True)
    return folder


def test_averages_of_weights_are_used_on_demand(averaged):
    plain, smooth = (package.restore(averaged, cell=MODELS["gru"][1], averages=a) for a in (False, True))
    ids = np.zeros((1, 4), np.int32)
    assert not np.array_equal(plain.run(ids)[0]["logits"], smooth.run(ids)[0]["logits"])


def test_the_commands_sample_and_inspect_weights_alone(capsys, averaged):
    execute(["sample", str(averaged), "-l", "20", "--seed", "1", "--cell", "kind=gru,activation=tanh"])
    written = capsys.readouterr()
    assert len(written.out) == 20
    assert written.err.count("nothing between the layers (no residual connections, no normalisation)") == 1
    execute(["inspect", str(averaged), "--evidence", "--cell", "kind=gru,activation=tanh"])
    told = capsys.readouterr().out
    assert (
        "no graph was saved; the weights are read as rows of embedding → GRU 4 → 5 (rnn/gru_cell) → softmax_w" in told
    )
    assert "said by the caller: activation tanh; taken for granted: TensorFlow's equations, nothing between" in told
    execute(["inspect", str(averaged)])
    assert "MissingFile: " in capsys.readouterr().out


def test_vectors_as_wide_as_the_vocabulary_stand_for_symbols(tmp_path):
    widths, cell, _ = MODELS["rnn"]
    write(tmp_path / "w.ckpt", widths, cell, vectors=True)
    assert len(package.restore(tmp_path, cell=cell, vocabulary=letters(V)).sample(9)) == 9
    with pytest.raises(CallError, match=r"found inputs \(features\)"):
        package.restore(tmp_path, cell=cell, vocabulary=letters(V + 1)).sample(9)


def letters(count):
    return Vocabulary(tuple("abcdefghijkl"[:count]), "characters")


def test_a_graph_that_is_there_is_not_overruled(tmp_path):
    with session() as opened:
        write_with_graph(opened, tmp_path / "model.ckpt")
    with pytest.raises(CallError, match=r"cell is for weights without a graph, and these have theirs\. Leave it out"):
        package.restore(tmp_path, cell=LSTM)


def write_with_graph(opened, prefix):
    v1.scan(lambda h, x: tf.tanh(x @ variable("w", 2, 2) + h), v1.placeholder(tf.float32, [4, 1, 2]), tf.zeros([1, 2]))
    opened.run(v1.global_variables_initializer())
    v1.train.Saver().save(opened, str(prefix))


def test_weights_that_another_kind_of_cell_has_are_refused(recorded):
    prefix, cell, *_ = recorded
    other = MODELS["gru" if cell["kind"] != "gru" else "rnn"][1]
    with pytest.raises(AmbiguousInterface, match=r"tensors have no place: .* Put the \.meta that was saved with them"):
        package.restore(prefix, cell=other)


def test_the_way_that_is_offered_for_weights_alone_works(recorded):
    prefix, cell, *_ = recorded
    with pytest.raises(MissingFile) as refused:
        package.restore(prefix)
    said = re.search(r"With --cell (\S+) \(in Python", str(refused.value))
    execute(["inspect", str(prefix), "--cell", said[1]])
    assert said[1].startswith(f"kind={cell['kind']},")


def test_weights_that_tensorflow_2_saved_by_object_are_not_told_to_look_for_a_graph(tmp_path):
    layer = tf.Module()
    layer.kernel, layer.recurrent_kernel, layer.bias = (tf.Variable(tf.zeros(s)) for s in ([3, 8], [2, 8], [8]))
    tf.train.Checkpoint(layer=layer).write(str(tmp_path / "ckpt-1"))
    for cell, kind, words in (
        (None, AmbiguousInterface, r"gates have a hard sigmoid by default .*--cell kind=lstm,recurrent_activation="),
        (LSTM, CallError, "cell: forget_bias is not known; of weights that Keras saved"),
    ):
        with pytest.raises(kind, match=words) as refused:
            package.restore(tmp_path, cell=cell)
        assert ".meta" not in str(refused.value)
    said = {"kind": "lstm", "recurrent_activation": "sigmoid", "activation": "tanh"}
    assert [s.name for s in package.restore(tmp_path, cell=said).interface.states] == ["layer.h", "layer.c"]
