"""Loops that score paths (a conditional random field, Viterbi's search) belong to the loss or the decoder."""

import pytest

from tests.graphs import D, H, V, dense, gru, interface_of, rolled
from tests.tensorflow.building import tf, v1, variable

TAGS = 5


def tagger(after):
    """Tokens to scores of tags [N, T, K], which `after` uses with the tags that are right."""

    def graph():
        tokens, tags = (v1.placeholder(tf.int32, [None, None], name) for name in ("tokens", "tags"))
        rows = tf.transpose(tf.nn.embedding_lookup(variable("embedding", V, D), tokens), [1, 0, 2])
        hidden, _ = rolled(gru, rows, [tf.zeros([tf.shape(tokens)[0], H])])
        flat = dense("output", tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, H]), TAGS)
        after(tf.reshape(flat, [tf.shape(tokens)[0], -1, TAGS], name="scores"), tags)

    return graph


def paths(scores, combine):
    """The last state of a loop that adds the scores of steps and of transitions, [N, K]."""
    transitions = variable("transitions", TAGS, TAGS)[None]
    rest = tf.transpose(tf.slice(scores, [0, 1, 0], [-1, -1, -1]), [1, 0, 2])
    first = tf.squeeze(tf.slice(scores, [0, 0, 0], [-1, 1, -1]), [1])
    _, (last,) = rolled(lambda x, a: (x + combine(a[:, :, None] + transitions),), rest, [first])
    return last


def likelihood(scores, tags):
    """The loss of a conditional random field over whole rows."""
    norm = tf.reduce_logsumexp(paths(scores, lambda s: tf.reduce_logsumexp(s, 1)), 1)
    own = tf.reduce_sum(tf.one_hot(tf.reshape(tags, [-1]), TAGS) * tf.reshape(scores, [-1, TAGS]), 1)
    loss = tf.reduce_mean(norm) - tf.reduce_sum(own)
    v1.train.GradientDescentOptimizer(0.1).minimize(loss)


def padded(scores, tags):
    """The same over scores with a step before the first."""
    before = tf.ones([tf.shape(scores)[0], 1, TAGS])
    likelihood(tf.concat([before, scores], 1), tf.concat([tf.zeros_like(tags[:, :1]), tags], 1))


def search(scores, tags):
    tf.reduce_max(paths(scores, lambda s: tf.reduce_max(s, 1)), 1, name="best")


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("after", [likelihood, padded, search])
def test_the_scores_that_paths_are_scored_with_are_the_output(after, functional):
    found = interface_of(tagger(after), functional=functional)
    assert [p.tensor for p in found.outputs] == ["scores:0"]
    assert [s.name for s in found.states] == ["layer0.h"]
    assert found.steppable
    assert any("scores paths over scores:0" in said for said in found.evidence)


def test_a_loop_with_a_non_linearity_is_no_scoring_of_paths():
    def after(scores, tags):
        tf.identity(paths(scores, lambda s: tf.tanh(tf.reduce_max(s, 1))), "last")

    found = interface_of(tagger(after))
    assert [s.name for s in found.states] == ["layer0.h", "layer1.h"]
