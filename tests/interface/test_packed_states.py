"""Steps of TensorFlow 2 whose states are all in one argument, along several axes."""

import numpy as np
import tensorflow as tf

import reprise

D, H, LAYERS = 5, 4, 2


class Enhancer(tf.Module):
    """Two LSTMs and a layer, over one frame: input and output have the same shape, as have the states."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(4)
        sizes = [(D + H, 4 * H), (2 * H, 4 * H), (H, D)]
        self.weights = [tf.Variable(random.normal(0, 0.5, s).astype(np.float32)) for s in sizes]

    @tf.function(
        input_signature=[tf.TensorSpec([1, 1, D], name="frame"), tf.TensorSpec([1, LAYERS, H, 2], name="memory")]
    )
    def step(self, frame, memory):
        x, states = tf.squeeze(frame, [1]), []
        for layer in range(LAYERS):
            h, c = memory[:, layer, :, 0], memory[:, layer, :, 1]
            i, f, g, o = tf.split(tf.concat([x, h], 1) @ self.weights[layer], 4, 1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            x = tf.sigmoid(o) * tf.tanh(c)
            states.append(tf.stack([x, c], -1))
        return {"mask": tf.sigmoid(x @ self.weights[-1])[:, None], "next": tf.stack(states, 1)}


def test_they_stay_one_state_as_the_file_has_it(tmp_path):
    model = Enhancer()
    tf.saved_model.save(model, str(tmp_path), signatures=model.step)
    restored = reprise.restore(tmp_path)
    [state] = restored.interface.states
    assert (state.source_in, state.source_out, state.shape[1:]) == ("memory:0", "next:0", (LAYERS, H, 2))
    random = np.random.default_rng(7)
    memory = random.normal(size=(1, LAYERS, H, 2)).astype(np.float32)
    carried = restored.initial_state().replace({state.name: memory})
    for frame in random.normal(size=(4, 1, D)).astype(np.float32):
        expected = model.step(frame[None], memory)
        outputs, carried = restored.step(frame[None], carried)
        memory = expected["next"].numpy()
        np.testing.assert_allclose(np.ravel(outputs["mask"]), np.ravel(expected["mask"]), atol=1e-5)
        np.testing.assert_allclose(carried[state.name], memory, atol=1e-5)
