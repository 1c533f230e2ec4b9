"""Models whose graph was built for a GPU alone, restored from their files and held against TensorFlow's own LSTM."""

import numpy as np
import pytest
import tensorflow as tf

import reprise
from reprise.errors import LiftError

v1, raw = tf.compat.v1, tf.raw_ops
N, T, D, H, V = 2, 9, 4, 3, 5
LAYERS = 2


def weights():
    rng = np.random.default_rng(6)
    made = {"head": rng.normal(size=(H, V))}
    for k in range(LAYERS):
        made |= {f"kernel{k}": rng.normal(size=((H if k else D) + H, 4 * H)), f"bias{k}": rng.normal(size=4 * H)}
    return {name: array.astype(np.float32) for name, array in made.items()}


def pieces(variables):
    """Matrices [H, D] and [H, H] and biases, gate after gate; half of a bias belongs to the state."""
    matrices, biases = [], []
    for k in range(LAYERS):
        of_input, of_state = tf.split(variables[f"kernel{k}"], [H if k else D, H], 0)
        matrices += [tf.transpose(m) for part in (of_input, of_state) for m in tf.split(part, 4, 1)]
        biases += tf.split(variables[f"bias{k}"] * 0.5, 4) * 2
    return matrices, biases


def joined(variables):
    matrices, biases = pieces(variables)
    return tf.concat([*(tf.reshape(m, [-1]) for m in matrices), *biases], 0)


def canonical(variables):
    matrices, biases = pieces(variables)
    sizes = {"num_layers": LAYERS, "num_units": H, "input_size": D}
    return raw.CudnnRNNCanonicalToParams(weights=matrices, biases=biases, **sizes)


def opaque(variables):
    """A variable that holds the vector itself, as who wrote for the operator alone had it."""
    return v1.get_variable("vector", initializer=joined(variables), validate_shape=False, use_resource=False)


def output(**given):
    return raw.CudnnRNN(is_training=False, **given).output


def save(folder, params, run=output, length=None, batch=None):
    """The checkpoint of a model for the GPU; the numbers of an opaque vector are those of `joined`."""
    numbers = {**weights(), "vector": joined(weights()).numpy()}
    with tf.Graph().as_default(), v1.Session() as session:
        for name, array in numbers.items():
            v1.get_variable(name, initializer=array)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "model.ckpt"), write_meta_graph=False)
    with tf.Graph().as_default():
        variables = {n: v1.get_variable(n, initializer=a, use_resource=False) for n, a in weights().items()}
        x = v1.placeholder(tf.float32, [length, batch, D], "x")
        states = [
            tf.zeros([LAYERS, batch, H]) if batch else v1.placeholder(tf.float32, [LAYERS, None, H], n) for n in "hc"
        ]
        made = run(input=x, input_h=states[0], input_c=states[1], params=params(variables), rnn_mode="lstm")
        tf.tensordot(made, variables["head"], 1, name="logits")
        v1.train.Saver().export_meta_graph(str(folder / "model.ckpt.meta"))
    return folder


def truth(x, h, c):
    """Scores [T, N, V] and the last states [L, N, H], by TensorFlow's operator for the CPU."""
    held, zero, last_h, last_c = weights(), np.zeros(H, np.float32), [], []
    for k in range(LAYERS):
        peepholes = dict.fromkeys(("wci", "wcf", "wco"), zero)
        start = {"cs_prev": c[k], "h_prev": h[k], "w": held[f"kernel{k}"], "b": held[f"bias{k}"]}
        made = raw.BlockLSTMV2(seq_len_max=len(x), x=x, **start, **peepholes)
        x = made.h.numpy()
        last_h.append(x[-1])
        last_c.append(made.cs.numpy()[-1])
    return x @ held["head"], np.stack(last_h), np.stack(last_c)


@pytest.mark.parametrize("params", [joined, canonical, opaque], ids=lambda f: f.__name__)
def test_a_model_for_the_gpu_alone_steps_from_any_state(tmp_path, params):
    model = reprise.restore(save(tmp_path, params))
    assert [s.name for s in model.interface.states] == ["layer0.h", "layer0.c", "layer1.h", "layer1.c"]
    rng = np.random.default_rng(8)
    x, h, c = (rng.normal(size=s).astype(np.float32) for s in ((T, N, D), (LAYERS, N, H), (LAYERS, N, H)))
    start = {f"layer{k}.{s}": array[k] for k in range(LAYERS) for s, array in (("h", h), ("c", c))}
    scores, last_h, last_c = truth(x, h, c)
    outputs, state = model.run(x, model.initial_state(batch=N).replace(start))
    np.testing.assert_allclose(outputs["logits"], scores, rtol=1e-4, atol=1e-5)
    stepped, rows = model.initial_state(batch=N).replace(start), []
    for row in x:
        output, stepped = model.step(row, stepped)
        rows.append(output["logits"])
    np.testing.assert_allclose(np.stack(rows), scores, rtol=1e-4, atol=1e-5)
    for k in range(LAYERS):
        for end in (state, stepped):
            np.testing.assert_allclose(end[f"layer{k}.h"], last_h[k], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(end[f"layer{k}.c"], last_c[k], rtol=1e-4, atol=1e-5)


def test_a_state_is_part_of_what_the_operator_is_given_and_makes(tmp_path):
    states = reprise.restore(save(tmp_path, joined)).interface.states
    assert {(s.fed_through, s.source_out) for s in states} == {("h:0", "CudnnRNN:1"), ("c:0", "CudnnRNN:2")}


def test_a_vector_of_another_length_is_refused(tmp_path):
    save(tmp_path, lambda variables: tf.concat([joined(variables), [0.0, 0.0]], 0))
    with pytest.raises(LiftError, match="divides 206 numbers into 8 parts of 204 in all: the weights are of another"):
        reprise.restore(tmp_path)


def test_of_a_layer_that_trains_in_one_branch_inference_takes_the_other(tmp_path):
    def run(**given):
        flag = v1.placeholder_with_default(False, [], "training")
        ways = [lambda w=w: raw.CudnnRNN(is_training=w, dropout=0.5 * w, **given).output for w in (True, False)]
        return v1.cond(flag, *ways)

    model = reprise.restore(save(tmp_path, joined, run))
    x = np.random.default_rng(3).normal(size=(T, N, D)).astype(np.float32)
    zeros = np.zeros((LAYERS, N, H), np.float32)
    np.testing.assert_allclose(model.run(x)[0]["logits"], truth(x, zeros, zeros)[0], rtol=1e-4, atol=1e-5)


def test_the_batch_and_the_length_that_training_had_are_free(tmp_path):
    model = reprise.restore(save(tmp_path, joined, length=20, batch=7))
    x = np.random.default_rng(4).normal(size=(T, N, D)).astype(np.float32)
    zeros = np.zeros((LAYERS, N, H), np.float32)
    np.testing.assert_allclose(model.run(x)[0]["logits"], truth(x, zeros, zeros)[0], rtol=1e-4, atol=1e-5)
