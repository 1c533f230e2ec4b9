"""Which tensors a user wants, told from what training, measuring and sampling hang on them."""

import numpy as np
import pytest

from reprise.errors import AmbiguousInterface, CallError, DiscoveryError, NoRecurrence
from reprise.graph import Node, Value
from reprise.interface.analysis.several_outputs import parallel_outputs
from tests.graphs import D, H, V, dense, gru, interface_of, lstm, rolled
from tests.tensorflow.building import tf, v1, variable


def model(after, *, steps=None, batch=None, ids="ids"):
    """A language model whose logits [N·T, V] `after` uses, with the targets."""

    def graph():
        tokens, targets = (v1.placeholder(tf.int32, [batch, steps], name) for name in (ids, "targets"))
        rows = tf.transpose(tf.nn.embedding_lookup(variable("embedding", V, D), tokens), [1, 0, 2])
        hidden, _ = rolled(lstm, rows, [tf.zeros([tf.shape(tokens)[0], H])] * 2)
        flat = tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, H])
        logits = tf.identity(dense("output", flat, V), "logits")
        after(logits, tf.reshape(targets, [-1]))

    return graph


def minimised(loss):
    return v1.train.GradientDescentOptimizer(0.1).minimize(loss)


def cross_entropy(logits, targets):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def measured(logits, targets):
    """Loss, perplexity, accuracy, summaries, clipped gradients: all that a training program has."""
    loss = cross_entropy(logits, targets)
    right = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), targets)
    v1.summary.scalar("perplexity", tf.exp(loss))
    v1.summary.scalar("accuracy", tf.reduce_mean(tf.cast(right, tf.float32)))
    held = v1.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, held), 5.0)
    v1.train.AdamOptimizer().apply_gradients(zip(gradients, held, strict=True))


def smoothed(logits, targets):
    wanted = tf.one_hot(targets, V) * 0.9 + 0.1 / V
    minimised(-tf.reduce_mean(tf.reduce_sum(wanted * tf.nn.log_softmax(logits), 1)))


def linear(logits, targets):
    minimised(tf.reduce_mean(logits * tf.one_hot(targets, V)))


def sampled(logits, targets):
    minimised(cross_entropy(logits, targets))
    tf.squeeze(v1.multinomial(logits, 1), name="drawn")


def gumbel(logits, targets):
    """A policy draws its action by the trick of Gumbel, in place of an operator that draws."""
    tf.argmax(logits - tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(logits)))), 1, name="action")


def named(logits, targets):
    """What is chosen, by the words of a table."""
    words = tf.lookup.KeyValueTensorInitializer(tf.range(V, dtype=tf.int64), tf.constant([f"w{k}" for k in range(V)]))
    tf.identity(tf.lookup.StaticHashTable(words, "?").lookup(tf.argmax(logits, 1)), "names")


def coded(logits, targets):
    """A sampler feeds the code of the best symbol back."""
    tf.one_hot(tf.argmax(logits, 1), V, name="next")


AFTER = {
    "nothing": lambda logits, targets: None,
    "training and measuring": measured,
    "a linear loss": linear,
    "sampling": sampled,
    "sampling by noise": gumbel,
    "coding": coded,
    "printing": lambda logits, targets: tf.print("scores", logits),
    "naming": named,
}


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("after", AFTER)
def test_the_logits_are_the_output_whatever_follows(after, functional):
    found = interface_of(model(AFTER[after]), functional=functional)
    assert [(p.tensor, p.role, p.rows) for p in found.outputs] == [("logits:0", "logits", "batch-major")]
    assert [p.name for p in found.inputs] == ["ids"]


@pytest.mark.parametrize("functional", [False, True])
def test_probabilities_come_with_their_logits(functional):
    def shown(logits, targets):
        minimised(cross_entropy(logits, targets))
        tf.nn.softmax(logits, name="chances")

    found = interface_of(model(shown), functional=functional)
    assert [(p.tensor, p.role) for p in found.outputs] == [("logits:0", "logits"), ("chances:0", "probabilities")]


def test_a_smoothed_loss_begins_after_the_scores():
    (port,) = interface_of(model(smoothed)).outputs
    assert port.tensor in ("logits:0", "LogSoftmax:0")


def test_of_a_mixture_the_weights_are_an_output_beside_the_means():
    """The loss compares the targets with the means alone, and weighs what comes of it."""

    def mixture(scores, targets):
        means, weights = scores[:, :3], tf.exp(scores[:, 3:6], name="weights")
        far = tf.square(tf.identity(means, "means") - tf.cast(targets, tf.float32)[:, None])
        minimised(tf.reduce_mean(-tf.math.log(tf.reduce_sum(tf.exp(-far) * weights, 1) + 1e-8)))

    assert {p.tensor for p in interface_of(model(mixture)).outputs} == {"means:0", "weights:0"}


def test_what_is_compared_with_the_inputs_themselves_is_the_output():
    """`mean(square(y[:, :-1] - x[:, 1:]))`: no placeholder holds targets."""

    def graph():
        x = v1.placeholder(tf.float32, [None, None, D], "x")
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        y = tf.identity(tf.tensordot(tf.transpose(hidden, [1, 0, 2]), variable("output", H, D), 1), "y")
        minimised(tf.reduce_mean(tf.square(y[:, :-1] - x[:, 1:])))

    found = interface_of(graph)
    assert [p.tensor for p in found.outputs] == ["y:0"]
    assert [(p.tensor, p.time_axis) for p in found.inputs] == [("x:0", 1)]


@pytest.mark.parametrize("shifted", [False, True])
def test_scores_that_only_a_loss_wants_flat_or_without_the_last_are_given_by_step(shifted):
    """`tf.losses.softmax_cross_entropy` makes rows [N·T, V] of the scores; the loss and its gradient alone read these.

    Where the next input is what is wanted, the last step has no target.
    """

    def graph():
        x, wanted = (v1.placeholder(tf.float32, [None, None, V], name) for name in ("x", "wanted"))
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        scores = tf.tensordot(tf.transpose(hidden, [1, 0, 2]), variable("output", H, V), 1)
        scores = tf.identity(scores, "scores")
        pair = (x[:, 1:], scores[:, :-1]) if shifted else (wanted, scores)
        minimised(v1.losses.softmax_cross_entropy(*pair))

    (port,) = interface_of(graph).outputs
    assert (port.tensor, port.role, port.time_axis) == ("scores:0", "logits", 1)


def test_of_one_number_nothing_is_chosen():
    def forecast():
        x, wanted = (v1.placeholder(tf.float32, [None, None, size], name) for name, size in (("x", D), ("wanted", 1)))
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        value = tf.identity(dense("output", hidden[-1], 1), "value")
        minimised(tf.reduce_mean(tf.square(value - wanted[:, -1])))
        tf.equal(tf.argmax(value, 1), tf.argmax(wanted[:, -1], 1), name="right")

    assert [(p.tensor, p.role) for p in interface_of(forecast).outputs] == [("value:0", "values")]


def dropped(x, number):
    return x / number * tf.floor(number + tf.random.uniform(tf.shape(x)))


def branched(x, flag):
    return v1.cond(tf.logical_not(flag), lambda: x, lambda: dropped(x, 0.5))


@pytest.mark.parametrize(("use", "kind", "value"), [(dropped, tf.float32, 1.0), (branched, tf.bool, False)])
def test_a_number_without_a_shape_that_only_one_number_can_be_is_a_setting(use, kind, value):
    """`tf.placeholder(tf.float32)`: the sizes of what it is joined with stay known, and T remains free."""

    def graph():
        x = v1.placeholder(tf.float32, [None, 4, D], "x")
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        given = use(hidden, v1.placeholder(kind, name="number"))
        tf.identity(dense("output", tf.reshape(given, [-1, H]), V), "scores")

    found = interface_of(graph)
    assert [(s.tensor, s.value) for s in found.settings] == [("number:0", value)]
    assert [(p.tensor, p.shape) for p in found.inputs] == [("x:0", (None, None, D))]
    assert [p.rows for p in found.outputs] == ["time-major"]


def test_a_temperature_without_a_shape_is_a_setting():
    def tempered(logits, targets):
        tf.nn.softmax(logits / v1.placeholder(tf.float32, name="heat"), name="chances")

    found = interface_of(model(tempered))
    assert [(s.tensor, s.value) for s in found.settings] == [("heat:0", 1.0)]
    assert "chances:0" in [p.tensor for p in found.outputs]


def stepped(after, steps=None):
    """A model whose values [N, T, 6] `after` takes apart; its outputs, and whether it can be stepped."""

    def graph():
        x = v1.placeholder(tf.float32, [None, steps, D], "x")
        hidden, _ = rolled(lstm, tf.transpose(x, [1, 0, 2]), [tf.zeros([tf.shape(x)[0], H])] * 2)
        rows = tf.reshape(hidden, [tf.shape(hidden)[0], tf.shape(x)[0], H])
        y = tf.tensordot(tf.transpose(rows, [1, 0, 2]), variable("output", H, 6), 1)
        after(tf.identity(y, "y"))

    found = interface_of(graph)
    return [p.tensor for p in found.outputs], found.steppable


def weighted(y):
    weights, *_ = tf.split(y, 3, axis=2, name="parts")
    tf.nn.softmax(weights, name="weights")


def compared(y):
    """The gradient asks for the shapes of the parts that the loss leaves out."""
    first, *_ = tf.split(y, 3, axis=2, name="parts")
    minimised(tf.reduce_mean(tf.square(first - v1.placeholder(tf.float32, [None, None, 2], "wanted"))))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (compared, ["parts:0", "parts:1", "parts:2"]),
        (lambda y: [tf.identity(best, "best") for best in tf.nn.top_k(y, 2)], ["y:0", "best:0", "best_1:0"]),
        (lambda y: tf.split(y, 3, axis=2, name="parts"), ["parts:0", "parts:1", "parts:2"]),
        (lambda y: tf.split(y, [1, 5], axis=2, name="parts"), ["parts:0", "parts:1"]),
        (lambda y: tf.unstack(y, axis=2, name="parts"), [f"parts:{k}" for k in range(6)]),
        (lambda y: tf.nn.top_k(y, 2, name="best"), ["y:0", "best:0", "best:1"]),
        (weighted, ["parts:0", "parts:1", "parts:2", "weights:0"]),
    ],
)
def test_each_part_of_a_head_that_nothing_reads_is_an_output(after, expected):
    assert stepped(after) == (expected, True)


def test_a_sequence_that_is_taken_apart_into_its_steps_is_the_output_as_a_whole():
    assert stepped(lambda y: tf.unstack(y, 4, axis=1), steps=4) == (["y:0"], True)
    assert stepped(lambda y: tf.identity(tf.unstack(y, 4, axis=1)[-1], "last"), steps=4)[0] == ["last:0"]


def test_more_parts_than_any_model_has_are_refused():
    whole = Node("parts", "Split", (Value("axis"), Value("x")), (), {"num_split": 1 << 40})
    with pytest.raises(
        DiscoveryError, match=r"operator 'Split' \(node 'parts'\): 1099511627776 outputs, more than any"
    ):
        parallel_outputs(whole)


def test_the_places_of_the_best_are_ids_and_no_scores():
    def ranked(logits, targets):
        tf.nn.top_k(tf.nn.softmax(logits), 2, name="best")

    found = interface_of(model(ranked))
    assert [p.role for p in found.outputs] == ["logits", "probabilities", "values", "ids"]


def test_scores_in_several_layouts_are_one_output():
    def reshaped(logits, targets):
        tf.reshape(logits, [-1, 4, V], "steps")
        tf.nn.softmax(logits, name="chances")

    assert [p.tensor for p in interface_of(model(reshaped)).outputs] == ["steps:0", "chances:0"]


def test_names_decide_nothing():
    found = interface_of(model(measured, ids="initial_state"))
    assert [(p.tensor, p.role) for p in found.inputs] == [("initial_state:0", "tokens")]
    assert [s.name for s in found.states] == ["layer0.c", "layer0.h"]


def test_of_three_copies_the_one_with_the_fewest_steps_is_taken():
    def copies():
        for name, steps, batch in (("train", 20, 8), ("valid", 20, 8), ("test", 1, 1)):
            with v1.variable_scope("lm", reuse=v1.AUTO_REUSE), tf.name_scope(f"{name}/"):
                model(measured if name == "train" else AFTER["nothing"], steps=steps, batch=batch)()

    found = interface_of(copies)
    assert [p.tensor for p in found.outputs] == ["test/logits:0"]
    assert any("3 models in the graph" in said for said in found.evidence)
    assert interface_of(copies, scope="valid").outputs[0].tensor == "valid/logits:0"


def two():
    for scope in ("left", "right"):
        with v1.variable_scope(scope):
            model(AFTER["nothing"])()


def test_states_that_nothing_reads_are_no_rival_of_scores():
    def backward_direction_unused():
        model(AFTER["nothing"])()
        with v1.variable_scope("backward"):
            x = v1.placeholder(tf.float32, [None, None, D], "x")
            hidden, _ = rolled(gru, tf.reverse(x, [0]), [tf.zeros([tf.shape(x)[1], H])])
            tf.reverse(hidden, [0], "hidden")

    assert [p.role for p in interface_of(backward_direction_unused).outputs] == ["logits"]


def test_equally_good_models_are_an_error_that_names_the_choices():
    with pytest.raises(AmbiguousInterface, match=r"2 models of this graph are equally good: left/.*; right/.*--scope"):
        interface_of(two)
    assert interface_of(two, outputs=("left/logits:0",)).outputs[0].tensor == "left/logits:0"
    with pytest.raises(CallError, match="scope 'middle': no output of a recurrence lies in it"):
        interface_of(two, scope="middle")


def test_an_output_that_no_recurrence_reaches_is_refused():
    with pytest.raises(NoRecurrence, match="outputs left/targets:0: they depend on no recurrence of the graph"):
        interface_of(two, outputs=("left/targets:0",))


@pytest.mark.parametrize("functional", [False, True])
def test_loops_that_only_count_or_add_carry_no_state(functional):
    def counting():
        x = v1.placeholder(tf.float32, [None, D])
        body = lambda i, total: (i + 1, total + tf.reduce_sum(x[i]))  # noqa: E731
        tf.identity(v1.while_loop(lambda i, total: i < tf.shape(x)[0], body, [0, 0.0])[1], "sum")

    with pytest.raises(NoRecurrence, match="carries no state from step to step"):
        interface_of(counting, functional=functional)


def test_steps_written_out_that_are_not_alike_are_refused_with_that_reason():
    """A clockwork recurrence: at some steps a part of the state stays as it is."""

    def clockwork():
        x, h = v1.placeholder(tf.float32, [None, 4, D]), v1.placeholder(tf.float32, [None, H])
        first, recurrent = variable("first", D, H), variable("recurrent", H, H) * np.tri(H, dtype="float32")
        for t, kept in enumerate((0, 3, 1, 3)):
            new = tf.tanh(tf.matmul(x[:, t], first) + tf.matmul(h, recurrent))
            h = tf.concat([new[:, kept:], h[:, :kept]], 1) if kept else new
        tf.identity(dense("output", h, V), "logits")

    with pytest.raises(NoRecurrence, match=r"multiplies .* with mul:0 4 times in turn .* but these are not alike"):
        interface_of(clockwork)


def test_the_first_of_several_steps_that_are_not_alike_is_no_model_of_one_step():
    """One block cell, its forget bias another one at each step."""

    def growing():
        x, c, h = v1.placeholder(tf.float32, [2, 3, D]), *(v1.placeholder(tf.float32, [2, H]) for _ in "ch")
        weights = {"w": variable("kernel", D + H, 4 * H), "b": variable("bias", 4 * H)}
        weights |= dict.fromkeys(("wci", "wcf", "wco"), tf.zeros([H]))
        for t in range(3):
            cell = tf.raw_ops.LSTMBlockCell(x=x[:, t], cs_prev=c, h_prev=h, forget_bias=1.0 + t, **weights)
            c, h = cell.cs, cell.h
        tf.identity(dense("output", h, V), "logits")

    with pytest.raises(NoRecurrence, match=r"with kernel:0 3 times in turn .* so no one of them stands for the others"):
        interface_of(growing)


def test_a_temperature_that_fills_a_row_leaves_the_scores_as_they_are():
    def heated(logits, targets):
        tf.nn.softmax(tf.divide(logits, tf.fill([V], v1.placeholder(tf.float32, [], "temperature"))))

    (setting,) = interface_of(model(heated)).settings
    assert (setting.name, setting.value) == ("temperature", 1.0)


def test_a_normal_draw_shows_its_mean_and_deviation():
    def policy(logits, targets):
        mean = tf.identity(logits[:, :3], "mean")
        deviation = tf.exp(logits[:, 3:6], "deviation")
        tf.add(mean, deviation * tf.random.normal(tf.shape(mean)), "action")

    assert [p.tensor for p in interface_of(model(policy)).outputs] == ["mean:0", "deviation:0"]


def masked_before_the_layer(hidden, tokens):
    hidden *= tf.expand_dims(v1.placeholder(tf.float32, [None, None], "mask"), 2)
    return dense("output", tf.reshape(hidden, [-1, H]), V)


def joined_with_a_row(hidden, tokens):
    row = v1.placeholder(tf.float32, [None, D], "mask")
    rows = tf.tile(tf.expand_dims(row, 1), [1, tf.shape(tokens)[1], 1])
    return dense("output", tf.reshape(tf.concat([hidden, rows], 2), [-1, H + D]), V)


@pytest.mark.parametrize("joined", [masked_before_the_layer, joined_with_a_row])
@pytest.mark.parametrize("trained", [False, True])
def test_what_joins_before_a_layer_with_weights_is_an_input(joined, trained):
    def graph():
        tokens, targets = (v1.placeholder(tf.int32, [None, None], name) for name in ("ids", "targets"))
        rows = tf.transpose(tf.nn.embedding_lookup(variable("embedding", V, D), tokens), [1, 0, 2])
        hidden, _ = rolled(lstm, rows, [tf.zeros([tf.shape(tokens)[0], H])] * 2)
        logits = tf.identity(joined(tf.transpose(hidden, [1, 0, 2]), tokens), "logits")
        if trained:
            measured(logits, tf.reshape(targets, [-1]))

    found = interface_of(graph)
    assert [p.tensor for p in found.outputs] == ["logits:0"]
    assert [p.name for p in found.inputs] == ["ids", "mask"]


def policy(logits, taken):
    """Gradients that a program fetches, to apply them later: they go back through the layers, with the targets."""
    tf.gradients(tf.reduce_sum(tf.math.log(tf.nn.softmax(logits)) * tf.one_hot(taken, V)), v1.trainable_variables())


def sums_by_product(logits, targets):
    """How losses over some classes only sum their rows: by a product with ones."""
    minimised(tf.reduce_mean(tf.matmul(logits * tf.one_hot(targets, V), tf.constant(1.0, shape=[V, 1]))))


@pytest.mark.parametrize("after", [policy, sums_by_product, linear])
def test_a_product_inside_a_loss_or_a_gradient_makes_no_input_of_a_target(after):
    found = interface_of(model(after))
    assert [p.name for p in found.inputs] == ["ids"]
    assert found.outputs[0].tensor == "logits:0"


def test_states_that_each_written_step_compares_with_a_target_are_the_output():
    def graph():
        h, cost = tf.zeros([3, H]), 0.0
        for t in range(2):
            (h,) = gru(v1.placeholder(tf.float32, [3, D], f"source{t}"), h, "encoder")
        for t in range(4):
            x, target = (v1.placeholder(tf.float32, [3, width], f"{n}{t}") for n, width in (("x", D), ("target", H)))
            (h,) = gru(x, h)
            cost += tf.reduce_mean(tf.square(h - target))
        minimised(cost / 4)

    found = interface_of(graph)
    assert [p.tensor for p in found.inputs] == ["source0:0", "x0:0"]
    assert [(p.role, p.time_axis) for p in found.outputs] == [("hidden", 0)]
    assert found.steppable


def test_a_sequence_taken_apart_for_steps_written_out_is_no_output_of_the_layer_below():
    def graph():
        hidden, _ = rolled(gru_of("below"), v1.placeholder(tf.float32, [4, None, D], "x"), [tf.zeros([2, H])])
        above = tf.zeros([2, H])
        for row in tf.unstack(hidden, 4):
            (above,) = gru(row, above, "above")
        tf.identity(above, "y")

    assert [p.tensor for p in interface_of(graph).outputs] == ["y:0"]


def test_a_decoder_that_reads_only_its_own_output_is_told_of():
    def graph():
        hidden, _ = rolled(gru_of("encoder"), v1.placeholder(tf.float32, [None, None, D], "x"), [tf.zeros([2, H])])
        h, shown = hidden[-1], tf.zeros([2, V])
        for _ in range(4):
            with v1.variable_scope("steps", reuse=v1.AUTO_REUSE):
                (h,) = gru(shown, h, "decoder")
                shown = dense("output", h, V)

    (told,) = (e for e in interface_of(graph).evidence if "in turn" in e)
    assert "is multiplied 4 times in turn outside the loops" in told


def gru_of(name):
    return lambda x, h: gru(x, h, name)


def test_ones_in_the_model_itself_begin_no_gradient():
    def graph():
        rows, targets = v1.placeholder(tf.float32, [None, None, D], "x"), v1.placeholder(tf.int32, [None], "targets")
        hidden, _ = rolled(lstm, rows, [tf.zeros([tf.shape(rows)[1], H])] * 2)
        short = tf.clip_by_norm(hidden, 1.0, axes=[2])  # where the norm is zero it divides by ones
        measured(tf.identity(dense("output", tf.reshape(short, [-1, H]), V), "logits"), targets)

    assert [p.tensor for p in interface_of(graph).outputs] == ["logits:0"]
