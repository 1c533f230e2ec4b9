"""ATen's operators as ONNX, each against what PyTorch documents that it computes."""

import numpy as np
import onnxruntime
import pytest

from reprise.formats._torch.aten.calls import call_operator, file_tensor
from reprise.formats._torch.aten.message import message, tensors_of
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize
from reprise.tensors import in_memory

X = np.linspace(-1.5, 1.5, 12, dtype=np.float32).reshape(2, 6)
_FLOAT, _INT = 6, 4  # the numbers that ATen gives element types


class Program:
    """Operators called one after the other on x, whose first size is free."""

    def __init__(self, x=X):
        self.builder = Builder()
        sizes = (RuntimeSize(("x", 0), enters=True), *x.shape[1:])
        self.data, self.x = x, AtenTensor("x", x.dtype.name, sizes)
        self.inputs = {"x": AtenTensor("x", x.dtype.name, sizes)}

    def __call__(self, name, *arguments, **named):
        return call_operator(self.builder, name, list(arguments), named)

    def run(self, value):
        model = message(self.builder, self.inputs, (), list(tensors_of(value, "y")))
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return session.run(None, {"x": self.data} if session.get_inputs() else {})[0]


def whole(program):
    return program("to", program("mul", program.x, 5), _INT)


@pytest.mark.parametrize(
    ("compute", "wanted"),
    [
        (lambda p: p("softplus", p.x, 2.0, 20.0), np.log1p(np.exp(2 * X)) / 2),
        (lambda p: p("softplus", p.x, 2.0, 1.0), np.where(2 * X > 1, X, np.log1p(np.exp(2 * X)) / 2)),
        (lambda p: p("clamp", whole(p), max=1.5), np.minimum(np.trunc(X * 5), np.float32(1.5))),
        (lambda p: p("clamp", whole(p), max=1), np.minimum((X * 5).astype(np.int64), 1)),
        (lambda p: p("sum", p.x, [1], dtype=_INT), X.astype(np.int64).sum(1)),
        (lambda p: p("mean", whole(p), [1], dtype=_FLOAT), np.trunc(X * 5).mean(1)),
        (lambda p: p("numpy_T", p("reshape", p.x, [-1, 2, 3])), X.reshape(2, 2, 3).T),
        (lambda p: p("narrow", p.x, 1, -2, 2), X[:, -2:]),
        (lambda p: p("narrow", p.x, 0, -1, 1), X[-1:]),
        (lambda p: p("add", p("gt", p.x, 0), p("gt", p.x, 1)), X > 0),
        (lambda p: p("mul", p("gt", p.x, 0), p("gt", p.x, 1)), X > 1),
        (lambda p: p("maximum", p("gt", p.x, 0), p("gt", p.x, 1)), X > 0),
        (lambda p: p("bitwise_not", p("gt", p.x, 0)), X <= 0),
        (lambda p: p("tensor", p("floordiv", p("sub", 1, p("size", p.x, 0)), 2)), np.int64(-1)),
        (lambda p: p("tensor", p("size", p.x, 0), dtype=_FLOAT), np.float32(2)),
        (lambda p: p("tensor", p("add", 2, 3, alpha=4)), np.int64(14)),
        (lambda p: p("tensor", p("sub", 2, 3, alpha=4)), np.int64(-10)),
    ],
)
def test_numbers_and_their_type_are_those_of_pytorch(compute, wanted):
    program = Program()
    given = program.run(compute(program))
    np.testing.assert_allclose(given, wanted, atol=1e-6)
    assert given.dtype == np.asarray(wanted).dtype
    assert given.shape == np.shape(wanted)


def assert_same(compute, wanted):
    program = Program()
    given = program.run(compute(program))
    assert given.shape == np.shape(wanted)
    np.testing.assert_allclose(given, wanted, atol=2e-6)


def held(program, array):
    """A tensor of the file."""
    name = program.builder.fresh("weight")
    return file_tensor(program.builder, in_memory(np.asarray(array)), name)


@pytest.mark.parametrize(
    ("compute", "wanted"),
    [
        (lambda p: p("remainder", p.x, -0.4), np.remainder(X, np.float32(-0.4))),
        (lambda p: p("fmod", p.x, 0.4), np.fmod(X, np.float32(0.4))),
        (lambda p: p("remainder", whole(p), 3), (X * 5).astype(np.int64) % 3),
        (lambda p: p("floor_divide", p.x, 0.4), np.floor_divide(X, np.float32(0.4))),
        (lambda p: p("floor_divide", p("ones_like", p.x), 0.1), np.full_like(X, 9)),
        (lambda p: p("floor_divide", whole(p), 3), (X * 5).astype(np.int64) // 3),
        (lambda p: p("div", p.x, 0.4, rounding_mode="trunc"), np.trunc(X / np.float32(0.4))),
        (lambda p: p("div", whole(p), 3, rounding_mode="trunc"), np.trunc((X * 5).astype(np.int64) / 3)),
        (lambda p: p("round", p("mul", p.x, 2)), np.round(X * 2)),
        (lambda p: p("bitwise_or", p("gt", p.x, 1), p("lt", p.x, 0)), (X > 1) | (X < 0)),
        (lambda p: p("clamp", p.x, p("mul", p.x, 2), p("abs", p.x)), np.minimum(np.maximum(X, X * 2), np.abs(X))),
        (lambda p: p("addcdiv", p.x, p.x, p("exp", p.x), value=2), X + 2 * X / np.exp(X)),
        (lambda p: p("log10", p("exp", p.x)), np.log10(np.exp(X))),
        (lambda p: p("log_sigmoid", p.x), -np.log1p(np.exp(-X))),
        (lambda p: p("prelu", p.x, held(p, np.full(1, 0.3, np.float32))), np.where(X < 0, X * 0.3, X)),
        (
            lambda p: p("prelu", p("unsqueeze", p.x, 2), held(p, np.arange(6, dtype=np.float32))),
            np.where(X < 0, X * np.arange(6), X)[:, :, None],
        ),
        (lambda p: p("var", p.x, [1], True, True), X.var(1, ddof=1, keepdims=True)),
        (lambda p: p("var", p.x, [1], correction=0), X.var(1)),
        (lambda p: p("std", p.x, [1], correction=None), X.std(1, ddof=1)),
        (lambda p: p("norm", p.x, 2, [1], True), np.linalg.norm(X, axis=1, keepdims=True)),
        (lambda p: p("linalg_vector_norm", p.x, float("inf"), [1]), np.abs(X).max(1)),
        (lambda p: p("logsumexp", p.x, [1]), np.log(np.exp(X).sum(1))),
        (lambda p: p("cumsum", p.x, 1), np.cumsum(X, 1)),
        (lambda p: p("any", p("gt", p.x, 0), 1), (X > 0).any(1)),
        (lambda p: p("all", p("gt", p.x, 0), [1], True), (X > 0).all(1, keepdims=True)),
        (lambda p: p("tensor_split", p.x, 4, 1)[1], X[:, 2:4]),
        (lambda p: p("tensor_split", p.x, [1, -2], 1)[1], X[:, 1:-2]),
        (
            lambda p: p("_weight_norm", p("t", p.x), held(p, np.ones((6, 1), np.float32)), 0),
            (X / np.linalg.norm(X, axis=0, keepdims=True)).T,
        ),
        (lambda p: p("tensor", p("slice", [4, 5, 6], 1, 2, 1)[0]), np.int64(5)),
        (lambda p: p("topk", p.x, 2)[0], X[:, :-3:-1]),
        (lambda p: p("topk", p.x, 2, 1, False)[1], [[0, 1], [0, 1]]),
        (lambda p: p("index", p.x, [None, held(p, np.asarray([-1, 0]))]), X[:, [-1, 0]]),
        (lambda p: p("gather", p.x, 1, p("argmax", p.x, 1, True)), X[:, -1:]),
        (lambda p: p("one_hot", p("argmax", p.x, 1), 6), np.eye(6)[[5, 5]]),
        (lambda p: p("roll", p.x, [2, -1], [1, 0]), np.roll(X, (2, -1), (1, 0))),
        (lambda p: p("flip", p.x, [1]), X[:, ::-1]),
        (lambda p: p("movedim", p("reshape", p.x, [-1, 2, 3]), 2, 0), np.moveaxis(X.reshape(2, 2, 3), 2, 0)),
        (lambda p: p("unflatten", p.x, -1, [3, 2]), X.reshape(2, 3, 2)),
        (lambda p: p("mul", p.x, p("arange", 1, 7)), X * np.arange(1, 7)),
        (lambda p: p("full_like", p.x, 0.5), np.full_like(X, 0.5)),
        (lambda p: p("einsum", "ij,kj->ki", [p.x, held(p, X[:1])]), X[:1] @ X.T),
        (lambda p: p("rms_norm", p.x, [6], None, 1e-3), X / np.sqrt((X**2).mean(1, keepdims=True) + 1e-3)),
    ],
)
def test_operators_compute_what_pytorch_documents(compute, wanted):
    assert_same(compute, wanted)


def test_attention_weighs_values_by_how_like_their_keys_are():
    q, k, v = X[:, None, :2], X.reshape(2, 3, 2), X[::-1].reshape(2, 3, 2)
    scores = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(2))

    def compute(p):
        query = p("unsqueeze", p("slice", p.x, 1, 0, 2), 1)
        keys = p("reshape", p.x, [-1, 3, 2])
        return p("scaled_dot_product_attention", query, keys, p("flip", keys, [0]))

    assert_same(compute, scores / scores.sum(-1, keepdims=True) @ v[:, :, :])


def test_each_group_of_channels_is_normalised():
    groups = X.reshape(2, 2, 3)
    normal = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    weight = np.arange(6, dtype=np.float32)
    assert_same(
        lambda p: p("group_norm", p.x, 2, held(p, weight), held(p, weight)), normal.reshape(2, 6) * weight + weight
    )


@pytest.mark.parametrize("padding", ["same", [1]])
def test_a_convolution_is_padded_by_name_or_number(padding):
    kernel = np.asarray([[[1, 2, 4]]], np.float32)
    wanted = np.stack([np.convolve(row, kernel[0, 0, ::-1], "same") for row in X])[:, None]
    assert_same(lambda p: p("conv1d", p("unsqueeze", p.x, 1), held(p, kernel), None, [1], padding), wanted)


def test_a_transposed_convolution_spreads_each_number():
    kernel = np.asarray([[[1, 2]]], np.float32)
    wanted = (X[:, :, None] * kernel[0]).reshape(2, 1, 12)
    assert_same(lambda p: p("conv_transpose1d", p("unsqueeze", p.x, 1), held(p, kernel), None, [2]), wanted)


@pytest.mark.parametrize(
    ("compute", "words"),
    [
        (lambda p: p("bitwise_not", whole(p)), r"the bits of whole numbers \(int64\)"),
        (lambda p: p("dim", p("squeeze", p("unsqueeze", p.x, 2))), "asks for the axes of a tensor without all axes"),
        (lambda p: p("sum", p("clone", p("squeeze", p.x)), [0]), "of a tensor without all axes of size 1"),
        (
            lambda p: p("avg_pool2d", p("unsqueeze", p("unsqueeze", p.x, 1), 1), [1, 3], [], 0, False, True, 1),
            "a pooling that divides by 1",
        ),
        (lambda p: p("cat_", p.x), "cat_ of such arguments"),
        (lambda p: p("bitwise_and", whole(p), whole(p)), "the bits of whole numbers"),
        (lambda p: p("var", p.x, [0]), "a variance along an axis whose size is free"),
        (lambda p: p("roll", p.x, 2, 0), "a roll by more than one along an axis whose size is free"),
        (lambda p: p("index", p.x, [None, p("gt", p.x, 0)]), "numbers chosen by truth values"),
        (lambda p: p("one_hot", p("argmax", p.x, 1)), "one_hot of as many classes as there are ids"),
        (lambda p: p("arange", p("size", p.x, 0)), "numbers counted to a size that is free"),
        (lambda p: p("norm", p.x, 3), "a norm of the order 3"),
    ],
)
def test_what_would_be_another_number_is_refused(compute, words):
    with pytest.raises(RefusedError, match=words):
        compute(Program())


def test_a_tensor_of_one_kind_takes_numbers_of_another_that_are_copied_into_it():
    program = Program()
    written = program("copy", program("zeros_like", program.x, dtype=_INT), program("mul", program.x, 5))
    np.testing.assert_array_equal(program.run(written), (X * 5).astype(np.int64))


@pytest.mark.parametrize(
    ("name", "axes", "wanted"),
    [
        ("unsqueeze_", [1], X[:, None] + 1),
        ("transpose_", [0, 1], X.T + 1),
        ("t_", [], X.T + 1),
    ],
)
def test_axes_that_are_changed_in_place_are_seen_by_all_who_hold_the_tensor(name, axes, wanted):
    program = Program()
    held = program("mul", program.x, 1)
    assert program(name, held, *axes) is held
    program("add_", held, 1)
    np.testing.assert_allclose(program.run(held), wanted)


def test_a_view_of_a_tensor_whose_axes_were_changed_in_place_changes_with_it():
    program = Program()
    held = program("mul", program.x, 1)
    program("unsqueeze_", held, 2)
    program("fill_", program("select", held, 1, 0), 7.0)
    np.testing.assert_allclose(program.run(held)[:, :, 0], np.where(np.arange(6) == 0, 7, X))


@pytest.mark.parametrize("call", [("contiguous",), ("float",), ("to", _FLOAT)])
def test_what_may_be_a_copy_is_changed_alone_and_the_other_is_not_read_again(call):
    program = Program()
    first = program("mul", program.x, 1)
    second = program(call[0], first, *call[1:])
    program("add_", second, 1)
    np.testing.assert_allclose(program.run(second), X + 1)
    with pytest.raises(RefusedError, match="reads a tensor of which a copy, or it itself, was changed in place"):
        program("neg", first)


def test_weights_of_a_layer_that_are_changed_before_it_are_refused():
    program = Program()
    weights = [held(program, np.ones(n, np.float32)) for n in ((16, 6), (16, 4))]
    state = program("zeros", [program("size", program.x, 0), 4])
    program("lstm_cell", program.x, [state, state], *weights)
    program("mul_", weights[1], 0.5)
    with pytest.raises(RefusedError, match="weights of LSTM that are computed"):
        program("lstm_cell", program.x, [state, state], *weights)


def test_sizes_are_counted_with_numbers_that_a_trace_holds_as_tensors():
    program = Program()
    two = held(program, np.asarray(2))
    assert program("sub", program("size", program.x, 1), two) == 4
    half = program("floor_divide", program("mul", program("size", program.x, 0), two), two)
    assert isinstance(half, RuntimeSize)
    np.testing.assert_array_equal(program.run(program("zeros", [half, 3])), np.zeros((2, 3)))


def test_parts_of_a_size_that_is_found_later_are_equal():
    program = Program(X[0])
    one, other = program("chunk", program.x, 2)
    program("add", one, held(program, np.ones(3, np.float32)))
    np.testing.assert_array_equal(program.run([other, one]), X[0, 3:])
    assert program.inputs["x"].sizes[0].same == 6


def test_a_reshape_to_a_fixed_size_leaves_one_step():
    program = Program()
    program("reshape", program.x, [1, 2, 3])
    assert program.inputs["x"].sizes[0].same == 1


def test_a_constant_that_is_spread_along_further_axes_does_not_speak_against_the_ranks():
    program = Program()
    weight = held(program, np.ones((2, 3), np.float32))
    program("mul", program("unsqueeze", program.x, 2), program("exp", program("sum", weight, [0])))
    assert program.builder.odd == 0
