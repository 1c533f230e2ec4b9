"""Rolling: recurrences that a program unrolled become one loop that computes the same, for any number of steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise.graph import Graph, ShapeAttribute, Value
from reprise.interface.loops import recurrences
from reprise.interface.normal.unrolled import roll
from reprise.structure import analyse
from tests.interface.building import Builder
from tests.interface.evaluate import evaluate

N, D, H, V = 2, 3, 4, 5
RNG = np.random.default_rng(7)


def rows(steps, width=D):
    return RNG.normal(size=(N, steps, width)).astype(np.float32)


def pieces(b, x, steps, style):
    """The rows of x [N, T, D], taken apart as programs do it."""
    if style == "unstack":
        return b.parts("Unpack", x, steps, 1)
    if style == "split":
        return [b("Squeeze", p, squeeze_dims=(1,), T="float32") for p in b.parts("Split", x, steps, 1)]
    if style == "rows of all steps split":
        turned = b("Transpose", x, b.const([1, 0, 2]), T="float32")
        return b.parts("Split", b("Reshape", turned, b.const([-1, D]), T="float32"), steps, 0)
    bounds = ([[0, t, 0] for t in range(steps)], [[0, t + 1, 0] for t in range(steps)])
    masks = {"begin_mask": 5, "end_mask": 5, "shrink_axis_mask": 2}
    return [
        b("StridedSlice", x, b.const(begin), b.const(end), b.const([1, 1, 1]), T="float32", **masks)
        for begin, end in zip(*bounds, strict=True)
    ]


def language_model(b, steps, layers=1, style="split", kernels=None, scope=""):
    """LSTM layers over [N, T, D], their outputs joined as rnn_decoder programs do; gives the names of interest."""
    x = b.placeholder(f"{scope}x", None, steps, D)
    kernels = kernels or [
        (b.variable(f"kernel_{k}", (D if not k else H) + H, 4 * H), b.variable(f"bias_{k}", 4 * H))
        for k in range(layers)
    ]
    states = [[b.placeholder(f"{scope}{s}_{k}", None, H) for s in "ch"] for k in range(len(kernels))]
    outputs = []
    for row in pieces(b, x, steps, style):
        for k, weights in enumerate(kernels):
            states[k] = list(b.lstm(row, *states[k], *weights))
            row = states[k][1]
        outputs.append(row)
    if len(outputs) == 1:
        joined = b("Identity", outputs[0], name=f"{scope}joined", T="float32")
    else:
        joined = b.concat(*outputs, axis=1, name=f"{scope}joined")
    flat = b("Reshape", joined, b.const([-1, H]), name=f"{scope}flat", T="float32")
    return [str(flat), *(str(v) for state in states for v in state)], kernels


def feeds(b, steps, layers=1, scope=""):
    start = {f"{scope}{s}_{k}": RNG.normal(size=(N, H)).astype(np.float32) for k in range(layers) for s in "ch"}
    return {**b.weights, **start, f"{scope}x": rows(steps)}


def counts(notes):
    """How many steps each recurrence has that the notes tell of, the fewest first."""
    return sorted(1 if note.startswith("one step") else int(note.split()[0]) for note in notes)


def same(one: Graph, other: Graph, names, fed):
    for name in names:
        np.testing.assert_allclose(evaluate(other, name, fed), evaluate(one, name, fed), rtol=1e-5, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 7), st.integers(1, 3), st.sampled_from(["unstack", "split", "slice", "rows of all steps split"]))
def test_any_number_of_steps_is_one_loop_that_computes_the_same(steps, layers, style):
    b = Builder()
    names, _ = language_model(b, steps, layers, style)
    rolled = roll(analyse(b.graph()))
    (found,) = recurrences.find(analyse(rolled.graph))
    assert len(found.states) == 2 * layers
    assert counts(rolled.notes) == [steps]
    same(b.graph(), rolled.graph, names, feeds(b, steps, layers))


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 9))
def test_the_number_of_steps_becomes_that_of_the_rows(rows_fed):
    b, longer = Builder(), Builder()
    names, _ = language_model(b, 3)
    truth, _ = language_model(longer, rows_fed)
    fed = feeds(b, rows_fed)
    rolled = roll(analyse(b.graph())).graph
    for ours, theirs in zip(names, truth, strict=True):
        np.testing.assert_allclose(
            evaluate(rolled, ours, fed), evaluate(longer.graph(), theirs, fed), rtol=1e-5, atol=1e-6
        )


def test_states_enter_where_the_program_starts_them_and_leave_under_the_names_of_the_last_step():
    b = Builder()
    names, _ = language_model(b, 4)
    structure = analyse(roll(analyse(b.graph())).graph)
    (found,) = recurrences.find(structure)
    assert [str(s.initial) for s in found.states] == ["c_0:0", "h_0:0"]
    last = [structure.graph[Value.parse(n).node] for n in names[1:]]
    assert [n.op for n in last] == ["_Results", "_Results"]
    assert [n.inputs[0] for n in last] == [s.final for s in found.states]


def test_one_packed_state_is_one_state():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    packed = b.placeholder("packed", None, 2 * H)
    for row in pieces(b, b.placeholder("x", None, 5, D), 5, "split"):
        whole = b("Slice", packed, b.const([0, 0]), b.const([-1, 2 * H]), T="float32")
        packed = b.concat(*b.lstm(row, *b.parts("Split", whole, 2, 1), kernel, bias), axis=1)
    rolled = roll(analyse(b.graph())).graph
    (found,) = recurrences.find(analyse(rolled))
    assert [str(s.initial) for s in found.states] == ["packed:0"]
    same(b.graph(), rolled, [str(packed)], {**b.weights, "x": rows(5), "packed": rows(1, 2 * H)[:, 0]})


def test_a_placeholder_and_a_head_for_every_step_become_sequences_under_the_first_names():
    b = Builder()
    kernels = (b.variable("g", D + H, 2 * H), b.variable("gb", 2 * H), b.variable("k", D + H, H), b.variable("kb", H))
    head = b.variable("w", H, V), b.variable("wb", V)
    xs = [b.placeholder(f"Placeholder_{t}", None, D) for t in range(4)]
    h = b.placeholder("h", None, H)
    scores = []
    for x in xs:
        h = b.gru(x, h, kernels)
        scores.append(b.linear(h, *head))
    rolled = roll(analyse(b.graph())).graph
    fed = rows(4)
    start = {**b.weights, "h": rows(1, H)[:, 0]}
    one_by_one = {**start, **{f"Placeholder_{t}": fed[:, t] for t in range(4)}}
    truth = np.stack([evaluate(b.graph(), str(s), one_by_one) for s in scores])
    ours = {**start, "Placeholder_0": np.moveaxis(fed, 1, 0)}
    np.testing.assert_allclose(evaluate(rolled, str(scores[0]), ours), truth, rtol=1e-5, atol=1e-6)
    tensors = tuple(f"Placeholder_{t}:0".encode() for t in range(4))
    assert rolled["Placeholder_0"].attributes["_step_tensors"] == tensors
    assert "Placeholder_1" not in rolled or not analyse(rolled).consumers["Placeholder_1"]


def test_scores_that_a_loss_compares_at_every_step_are_those_of_every_step():
    b = Builder()
    kernel, bias, head = b.variable("k", D + H, H), b.variable("kb", H), (b.variable("w", H, V), b.variable("wb", V))
    h, scores, losses = b.placeholder("h", None, H), [], []
    for t in range(3):
        x, target = b.placeholder(f"x{t}", None, D), b.placeholder(f"target{t}", None, dtype="int32")
        h = b.unary("Tanh", b.linear(b.concat(x, h, axis=1), kernel, bias))
        scores.append(b.linear(h, *head))
        losses.append(b("SparseSoftmaxCrossEntropyWithLogits", scores[-1], target, T="float32", Tlabels="int32"))
    b("AddN", *losses, N=3, T="float32")
    rolled = roll(analyse(b.graph())).graph
    fed = rows(3)
    start = {**b.weights, "h": rows(1, H)[:, 0]}
    one_by_one = {**start, **{f"x{t}": fed[:, t] for t in range(3)}}
    truth = np.stack([evaluate(b.graph(), str(s), one_by_one) for s in scores])
    ours = evaluate(rolled, str(scores[0]), {**start, "x0": np.moveaxis(fed, 1, 0)})
    np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-6)


def test_losses_that_are_packed_stay_outside_of_the_loop_with_their_targets():
    b = Builder()
    kernel, bias, head = b.variable("k", D + H, H), b.variable("kb", H), (b.variable("w", H, V), b.variable("wb", V))
    h, targets, losses = b.placeholder("h", None, H), b.placeholder("targets", None, 3, dtype="int32"), []
    read = pieces(b, b.placeholder("x", None, 3, D), 3, "unstack")
    for row, target in zip(read, b.parts("Unpack", targets, 3, 1), strict=True):
        h = b.unary("Tanh", b.linear(b.concat(row, h, axis=1), kernel, bias))
        scores = b.linear(h, *head)
        losses.append(b("SparseSoftmaxCrossEntropyWithLogits", scores, target, T="float32", Tlabels="int32"))
    b("Pack", *losses, N=3, axis=0, T="float32")
    structure = analyse(roll(analyse(b.graph())).graph)
    (recurrence,) = recurrences.find(structure)
    assert [structure.graph[read.stacked.node].inputs[0] for read in recurrence.reads] == [Value("x")]
    assert [structure.graph[write.element.node].op for write in recurrence.writes] == ["BiasAdd"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_packed_outputs_keep_their_axis(axis):
    b = Builder()
    kernels = (b.variable("g", D + H, 2 * H), b.variable("gb", 2 * H), b.variable("k", D + H, H), b.variable("kb", H))
    h, made = b.placeholder("h", None, H), []
    for row in pieces(b, b.placeholder("x", None, 3, D), 3, "unstack"):
        h = b.gru(row, h, kernels)
        made.append(h)
    packed = b("Pack", *made, axis=axis, N=3, T="float32")
    rolled = roll(analyse(b.graph())).graph
    assert not any(n.op == "Pack" for n in rolled)
    same(b.graph(), rolled, [str(packed)], {**b.weights, "x": rows(3), "h": rows(1, H)[:, 0]})


def bidirectional(b, steps):
    """Two layers, each in both directions, the outputs of the first joined step by step."""
    row = pieces(b, b.placeholder("x", None, steps, D), steps, "unstack")
    for layer in range(2):
        width = D if not layer else 2 * H
        directions = []
        for order in (1, -1):
            kernel, bias = b.variable(f"w{layer}{order}", width + H, 4 * H), b.variable(f"b{layer}{order}", 4 * H)
            zero = b("Fill", b.const([N, H]), b.const(0.0, "float32"), T="float32")
            c, h, made = zero, zero, []
            for x in row[::order]:
                c, h = b.lstm(x, c, h, kernel, bias)
                made.append(h)
            directions.append(made[::order])
        row = [b.concat(*both, axis=1) for both in zip(*directions, strict=True)]
    return b("Pack", *row, axis=1, N=steps, T="float32", name="out")


def test_layers_that_read_both_directions_of_the_layer_below_are_loops_of_their_own():
    b = Builder()
    out = bidirectional(b, 4)
    rolled = roll(analyse(b.graph()))
    assert len(rolled.notes) == 4
    same(b.graph(), rolled.graph, [str(out)], {**b.weights, "x": rows(4)})


def test_a_step_that_waits_until_its_state_is_saved_is_like_the_others():
    b = Builder()
    weights, head = (b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)), b.variable("w", H, V)
    c, h = b.placeholder("c", None, H), b.placeholder("h", None, H)
    hidden = []
    for row in pieces(b, b.placeholder("x", None, 4, D), 4, "unstack"):
        c, h = b.lstm(row, c, h, *weights)
        hidden.append(h)
    saved = b("NoOp", controls=(h.node,), name="saved")
    hidden[-1] = b("Identity", h, controls=(saved.node,), T="float32")
    packed = b("Pack", *(b("MatMul", h, head, T="float32") for h in hidden), axis=1, T="float32")
    rolled = roll(analyse(b.graph())).graph
    assert len(recurrences.find(analyse(rolled))) == 1
    assert rolled[packed.node].op == "Identity"  # all rows of the loop, however many there are
    fed = {**b.weights, "x": rows(4), "c": rows(1, H)[:, 0], "h": rows(1, H)[:, 0]}
    same(b.graph(), rolled, [str(packed)], fed)


def test_a_copy_of_one_step_is_read_like_the_unrolled_copy_that_shares_its_weights():
    b = Builder()
    names, kernels = language_model(b, 6, 2, scope="train/")
    sampled, _ = language_model(b, 1, 2, kernels=kernels, scope="sample/")
    rolled = roll(analyse(b.graph()))
    assert counts(rolled.notes) == [1, 6]
    same(b.graph(), rolled.graph, names, feeds(b, 6, 2, "train/"))
    same(b.graph(), rolled.graph, sampled, feeds(b, 1, 2, "sample/"))
    longer = Builder()
    truth, _ = language_model(longer, 5, 2, scope="sample/")
    fed = feeds(b, 5, 2, "sample/")
    for ours, theirs in zip(sampled, truth, strict=True):
        np.testing.assert_allclose(
            evaluate(rolled.graph, ours, fed), evaluate(longer.graph(), theirs, fed), rtol=1e-5, atol=1e-6
        )


def test_a_step_that_differs_leaves_the_graph_as_it_was():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    c, h = b.placeholder("c", None, H), b.placeholder("h", None, H)
    for t, row in enumerate(pieces(b, b.placeholder("x", None, 4, D), 4, "split")):
        c, h = b.lstm(row, c, h, kernel, bias)
        h = b.unary("Tanh", h) if t == 2 else h
    rolled = roll(analyse(b.graph()))
    assert rolled.graph.nodes == b.nodes
    assert not rolled.notes


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 1, 3, 2), (0, 1, 2, 2)])
def test_rows_that_are_not_in_order_are_not_a_sequence(order):
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    c, h = b.placeholder("c", None, H), b.placeholder("h", None, H)
    row = pieces(b, b.placeholder("x", None, 4, D), 4, "unstack")
    for t in order:
        c, h = b.lstm(row[t], c, h, kernel, bias)
    assert not roll(analyse(b.graph())).notes


def test_steps_that_read_only_some_rows_read_only_those_in_the_loop():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    c, h = b.placeholder("c", None, H), b.placeholder("h", None, H)
    for row in pieces(b, b.placeholder("x", None, 6, D), 6, "unstack")[1:4]:
        c, h = b.lstm(row, c, h, kernel, bias)
    rolled = roll(analyse(b.graph()))
    assert counts(rolled.notes) == [3]
    start = {"c": rows(1, H)[:, 0], "h": rows(1, H)[:, 0]}
    same(b.graph(), rolled.graph, [str(c), str(h)], {**b.weights, **start, "x": rows(6)})


def test_a_number_that_counts_the_steps_is_counted_by_the_loop_and_anew_for_every_call_of_the_file():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, H), b.variable("bias", H)
    h, limits = b.placeholder("h", None, H), b.placeholder("limits", None, dtype="int32")
    for t, row in enumerate(pieces(b, b.placeholder("x", None, 4, D), 4, "unstack")):
        new = b.unary("Tanh", b.linear(b.concat(row, h, axis=1), kernel, bias))
        done = b("LessEqual", limits, b.const(3 * t + 2), T="int32")
        h = b("Select", done, h, new, T="float32")
    rolled = roll(analyse(b.graph())).graph
    x = rows(8)
    fed = {**b.weights, "h": rows(1, H)[:, 0], "limits": np.array([5, 9], np.int32)}
    once = evaluate(b.graph(), str(h), {**fed, "x": x[:, :4]})
    twice = evaluate(b.graph(), str(h), {**fed, "x": x[:, 4:], "h": once})
    np.testing.assert_allclose(evaluate(rolled, str(h), {**fed, "x": x[:, :4]}), once, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(evaluate(rolled, str(h), {**fed, "x": x}), twice, rtol=1e-5, atol=1e-6)


def test_an_output_that_is_fed_back_is_carried_and_needs_no_input():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, H), b.variable("bias", H)
    table, head = b.variable("table", V, D), (b.variable("w", H, V), b.variable("wb", V))
    x, h = b.placeholder("first", None, D), b.placeholder("h", None, H)
    for _ in range(4):
        h = b.unary("Tanh", b.linear(b.concat(x, h, axis=1), kernel, bias))
        chosen = b("ArgMax", b.linear(h, *head), b.const(1), T="float32", output_type="int64")
        x = b("GatherV2", table, chosen, b.const(0), Tparams="float32")
    rolled = roll(analyse(b.graph())).graph
    (found,) = recurrences.find(analyse(rolled))
    assert [str(s.initial) for s in found.states] == ["h:0"]
    assert [str(c.initial) for c in found.fed_back] == ["first:0"]
    same(b.graph(), rolled, [str(h)], {**b.weights, "first": rows(1)[:, 0], "h": rows(1, H)[:, 0]})


def decoder(steps, projected_apart=False):
    """Two layers whose steps draw the symbol of the next one, the last of them none; gives the scores of each.

    With `projected_apart` the scores are computed once more, by the same weights, beside those that are drawn from.
    """
    b = Builder()
    kernels = [(b.variable(f"kernel_{k}", D + H, H), b.variable(f"bias_{k}", H)) for k in range(2)]
    down, table = b.variable("down", H, D), b.variable("table", V, D)
    head, bias = b.variable("w", H, V), b.variable("wb", V)
    x, hs, scores = b.placeholder("first", None, D), [b.placeholder(f"h{k}", None, H) for k in range(2)], []
    encoder = b.variable("encoder", H, H), b.variable("encoded", H)
    for _ in range(2):
        hs[1] = b.unary("Tanh", b.linear(hs[1], *encoder))
    for t in range(steps):
        hs[0] = b.unary("Tanh", b.linear(b.concat(x, hs[0], axis=1), *kernels[0]))
        between = b("MatMul", hs[0], down, transpose_a=False, transpose_b=False, T="float32")
        hs[1] = b.unary("Tanh", b.linear(b.concat(between, hs[1], axis=1), *kernels[1]))
        if t < steps - 1 or not projected_apart:
            scores.append(b.linear(hs[1], head, bias))
        if t < steps - 1:
            chosen = b("ArgMax", scores[-1], b.const(1), T="float32", output_type="int64")
            x = b("GatherV2", table, chosen, b.const(0), Tparams="float32")
        if projected_apart:
            again = b("MatMul", hs[1], head, transpose_a=False, transpose_b=False, T="float32")
            scores[t:] = [b.binary("Add", again, bias)]
    return b, scores


@pytest.mark.parametrize("projected_apart", [False, True])
def test_a_symbol_that_no_step_reads_after_the_last_need_not_be_drawn_by_it(projected_apart):
    b, scores = decoder(4, projected_apart)
    rolled = roll(analyse(b.graph()))
    (found,) = recurrences.find(analyse(rolled.graph))
    assert counts(rolled.notes) == [4]
    assert [str(c.initial) for c in found.fed_back] == ["first:0"]
    assert len(found.states) == 2
    fed = {**b.weights, "first": rows(1)[:, 0], "h0": rows(1, H)[:, 0], "h1": rows(1, H)[:, 0]}
    truth = np.stack([evaluate(b.graph(), str(s), fed) for s in scores])
    np.testing.assert_allclose(evaluate(rolled.graph, str(scores[0]), fed), truth, rtol=1e-5, atol=1e-6)


def test_a_last_step_that_makes_its_state_in_another_way_leaves_the_graph_as_it_was():
    b = Builder()
    kernel, bias, h = b.variable("kernel", D + H, H), b.variable("bias", H), b.placeholder("h", None, H)
    for t, row in enumerate(pieces(b, b.placeholder("x", None, 4, D), 4, "unstack")):
        h = b.unary("Tanh" if t < 3 else "Relu", b.linear(b.concat(row, h, axis=1), kernel, bias))
    assert roll(analyse(b.graph())).graph.nodes == b.nodes


@pytest.mark.parametrize("compared", [False, True])
def test_what_each_step_leaves_or_compares_with_a_target_is_a_sequence(compared):
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    c, h, made, costs = b.placeholder("c", None, H), b.placeholder("h", None, H), [], []
    for t, row in enumerate(pieces(b, b.placeholder("x", None, 4, D), 4, "unstack")):
        c, h = b.lstm(row, c, h, kernel, bias)
        made.append(h)
        if compared:
            costs.append(b.binary("SquaredDifference", h, b.placeholder(f"target{t}", None, H)))
    if compared:
        b("AddN", *costs, N=4, T="float32")
    fed = {**b.weights, "x": rows(4), "c": rows(1, H)[:, 0], "h": rows(1, H)[:, 0]}
    truth = np.stack([evaluate(b.graph(), str(m), fed) for m in made])
    ours = evaluate(roll(analyse(b.graph())).graph, str(made[0]), fed)
    np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-6)


def test_a_stack_that_begins_with_zeros_for_the_rows_of_the_stack_below_is_one_loop_with_it():
    b, steps = Builder(), 4
    outputs = pieces(b, b.placeholder("x", None, steps, D), steps, "unstack")
    for k, width in enumerate((D, H)):
        weights = b.variable(f"kernel_{k}", width + H, 4 * H), b.variable(f"bias_{k}", 4 * H)
        bounds = (b.const([n]) for n in (0, 1, 1))
        count = b("StridedSlice", b("Shape", outputs[0], out_type="int32"), *bounds, shrink_axis_mask=1, T="int32")
        zeros = b("Fill", b("Pack", count, b.const(H), axis=0, N=2, T="int32"), b.const(0.0, "float32"), T="float32")
        c, h, made = zeros, zeros, []
        for row in outputs:
            c, h = b.lstm(row, c, h, *weights)
            made.append(h)
        outputs = made
    rolled = roll(analyse(b.graph()))
    assert counts(rolled.notes) == [steps]
    same(b.graph(), rolled.graph, [str(c), str(h)], {**b.weights, "x": rows(steps)})


def test_an_unrolled_encoder_hands_its_state_to_an_unrolled_decoder():
    b = Builder()
    cells = {
        s: (b.variable(f"{s}/kernel", D + H, 4 * H), b.variable(f"{s}/bias", 4 * H)) for s in ("encoder", "decoder")
    }
    zero = b("Fill", b.const([N, H]), b.const(0.0, "float32"), T="float32")
    c, h = zero, zero
    for scope, steps in (("encoder", 3), ("decoder", 5)):
        for row in pieces(b, b.placeholder(f"{scope}/x", None, steps, D), steps, "unstack"):
            c, h = b.lstm(row, c, h, *cells[scope])
    rolled = roll(analyse(b.graph()))
    assert counts(rolled.notes) == [3, 5]
    fed = {**b.weights, "encoder/x": rows(3), "decoder/x": rows(5)}
    same(b.graph(), rolled.graph, [str(c), str(h)], fed)


def test_nodes_that_a_gradient_reads_stay_and_idle_ones_go():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, H), b.variable("bias", H)
    h, made = b.placeholder("h", None, H), []
    for row in pieces(b, b.placeholder("x", None, 4, D), 4, "unstack"):
        h = b.unary("Tanh", b.linear(b.concat(row, h, axis=1), kernel, bias))
        made.append(h)
    slope = b("TanhGrad", made[1], b.placeholder("dy", None, H), T="float32", name="gradient")
    kept = roll(analyse(b.graph())).graph
    assert kept[slope.node] == b.nodes[slope.node]
    assert made[1].node in kept
    assert made[2].node not in kept


def test_one_layer_applied_many_times_is_not_a_recurrence():
    b = Builder()
    kernel, bias = b.variable("kernel", D, D), b.variable("bias", D)
    x = b.placeholder("x", None, D)
    for _ in range(3):
        x = b.unary("Tanh", b.linear(x, kernel, bias))
    assert roll(analyse(b.graph())).graph.nodes == b.nodes


def alone(op):
    """A step with nothing beside it; gives the names of its next states."""
    b = Builder()
    x, c, h = b.placeholder("x", None, D), b.placeholder("c", None, H), b.placeholder("h", None, H)
    kernel, bias = b.variable("kernel", D + H, 4 * H), b.variable("bias", 4 * H)
    if op == "lstm":
        return b, [str(v) for v in b.lstm(x, c, h, kernel, bias)]
    if op == "gru":
        return b, [
            str(b.gru(x, h, (b.variable("g", D + H, 2 * H), b.variable("gb", 2 * H), b.variable("k", D + H, H), bias)))
        ]
    peepholes = [b.variable(name, H) for name in ("wci", "wcf", "wco")]
    cell = b("LSTMBlockCell", x, c, h, kernel, *peepholes, bias, T="float32")
    return b, [str(Value(cell.node, index)) for index in (1, 6)]


@pytest.mark.parametrize(("op", "initial"), [("lstm", {"c:0", "h:0"}), ("gru", {"h:0"}), ("block", {"c:0", "h:0"})])
def test_a_step_alone_is_known_by_the_equations_of_its_cell(op, initial):
    b, names = alone(op)
    if op == "gru":
        b.weights["bias"] = b.weights["bias"][:H]
    rolled = roll(analyse(b.graph())).graph
    (found,) = recurrences.find(analyse(rolled))
    assert {str(s.initial) for s in found.states} == initial
    fed = {**b.weights, **{s: RNG.normal(size=(N, H)).astype(np.float32) for s in "ch"}}
    xs, stepped = np.moveaxis(rows(3), 1, 0), dict(fed)
    for x in xs:
        new = [evaluate(b.graph(), name, {**stepped, "x": x}) for name in names]
        stepped |= dict(zip("ch" if len(new) == 2 else "h", new, strict=True))
    for name, value in zip(names, new, strict=True):
        np.testing.assert_allclose(evaluate(rolled, name, {**fed, "x": xs}), value, rtol=1e-5, atol=1e-6)


def test_a_highway_layer_is_not_a_cell():
    b = Builder()
    kernel, gate = (b.variable("w", D, D), b.variable("wb", D)), (b.variable("t", D, D), b.variable("tb", D))
    x = b.placeholder("x", None, D)
    t = b.unary("Sigmoid", b.linear(x, *gate))
    carried = b.binary("Mul", b.binary("Sub", b.const(1.0, "float32"), t), x)
    b.binary("Add", b.binary("Mul", t, b.unary("Relu", b.linear(x, *kernel))), carried)
    assert roll(analyse(b.graph())).graph.nodes == b.nodes


def test_the_scores_of_a_step_alone_are_a_sequence_and_what_is_drawn_from_them_is_not():
    b, (_, h) = alone("lstm")
    scores = b.linear(Value.parse(h), b.variable("w", H, V), b.variable("wb", V))
    b("ArgMax", scores, b.const(1), T="float32", output_type="int64", name="drawn")
    rolled = roll(analyse(b.graph())).graph
    fed = {
        **b.weights,
        **{s: RNG.normal(size=(N, H)).astype(np.float32) for s in "ch"},
        "x": np.moveaxis(rows(3), 1, 0),
    }
    made = evaluate(rolled, str(scores), fed)
    assert made.shape == (3, N, V)
    np.testing.assert_allclose(evaluate(rolled, "drawn:0", fed), made[-1].argmax(1))


def test_what_keeps_the_state_of_a_step_alone_is_no_part_of_it():
    b, (h,) = alone("gru")
    kept = b("VariableV2", name="kept", dtype="float32", shape=ShapeAttribute((N, H)))
    b("Assign", kept, Value.parse(h), T="float32", name="keep")
    (found,) = recurrences.find(analyse(roll(analyse(b.graph())).graph))
    assert [w.element.node for w in found.writes] == []


def test_a_long_way_from_the_input_to_the_cell_is_left_alone():
    b = Builder()
    kernel, bias = b.variable("kernel", D + H, H), b.variable("bias", H)
    h = b.placeholder("h", None, H)
    for row in pieces(b, b.placeholder("x", None, 3, D), 3, "unstack"):
        for _ in range(2000):
            row = b.unary("Tanh", row)
        h = b.unary("Tanh", b.linear(b.concat(row, h, axis=1), kernel, bias))
    assert not roll(analyse(b.graph())).notes


def test_what_only_the_last_step_is_asked_for_is_the_last_row_for_any_number_of_steps():
    def classifier(steps):
        b = Builder()
        kernel, bias = b.variable("kernel", D + H, H), b.variable("bias", H)
        head = b.variable("w", H, V), b.variable("wb", V)
        h = b.placeholder("h", None, H)
        for row in pieces(b, b.placeholder("x", None, steps, D), steps, "unstack"):
            h = b.unary("Tanh", b.linear(b.concat(row, h, axis=1), kernel, bias))
            shown = b.unary("Relu", h)
        return b, str(b.linear(shown, *head))

    (b, ours), (longer, theirs) = classifier(3), classifier(6)
    fed = {**b.weights, "x": rows(6), "h": rows(1, H)[:, 0]}
    np.testing.assert_allclose(
        evaluate(roll(analyse(b.graph())).graph, ours, fed), evaluate(longer.graph(), theirs, fed), rtol=1e-5, atol=1e-6
    )
