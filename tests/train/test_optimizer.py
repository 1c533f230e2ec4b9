import numpy as np
import tensorflow as tf

from reprise.train import optimizer


def test_adam_follows_the_equations_of_the_paper():
    random = np.random.default_rng(0)
    start = random.normal(size=(3, 2)).astype(np.float32)
    variables = {name: tf.Variable(v) for name, v in optimizer.initial_slots({"w": (3, 2)}).items()}
    variables["w"] = tf.Variable(start)
    w, m, v = start.astype(np.float64), 0.0, 0.0
    for t in range(1, 6):
        g = random.normal(size=(3, 2)).astype(np.float32)
        optimizer.apply(variables, ["w"], [tf.constant(g)], tf.constant(0.1))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.astype(np.float64) ** 2
        w = w - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(variables["w"].numpy(), w, atol=1e-5)
    assert variables["global_step"].numpy() == 5


def test_clipping_scales_all_gradients_by_one_number():
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    clipped, norm = optimizer.clipped(gradients, 1.0)
    assert norm.numpy() == 5.0
    np.testing.assert_allclose(clipped[0].numpy(), [0.6, 0.0], atol=1e-6)
    np.testing.assert_allclose(clipped[1].numpy(), [[0.8]], atol=1e-6)


def test_small_gradients_and_a_limit_of_zero_are_left_alone():
    gradients = [tf.constant([0.3, 0.4])]
    for limit in (0.0, 1.0):
        np.testing.assert_array_equal(optimizer.clipped(gradients, limit)[0][0].numpy(), gradients[0].numpy())
