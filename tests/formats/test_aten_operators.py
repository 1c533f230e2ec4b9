"""ATen's operators as ONNX, each against what PyTorch documents that it computes."""

import numpy as np
import onnxruntime
import pytest

from reprise.formats._torch.aten.calls import called, stored
from reprise.formats._torch.aten.message import message, tensors_of
from reprise.formats._torch.aten.values import Builder, Dim, RefusedError, Value
from reprise.tensors import in_memory

X = np.linspace(-1.5, 1.5, 12, dtype=np.float32).reshape(2, 6)
_FLOAT, _INT = 6, 4  # the numbers that ATen gives element types


class Program:
    """Operators called one after the other on x, whose first size is free."""

    def __init__(self, x=X):
        self.builder = Builder()
        sizes = (Dim(("x", 0), enters=True), *x.shape[1:])
        self.data, self.x = x, Value("x", x.dtype.name, sizes)
        self.inputs = {"x": Value("x", x.dtype.name, sizes)}

    def __call__(self, name, *arguments, **named):
        return called(self.builder, name, list(arguments), named)

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
    held = {"ih": (16, 6), "hh": (16, 4)}
    weights = [stored(program.builder, in_memory(np.ones(n, np.float32)), name) for name, n in held.items()]
    state = program("zeros", [program("size", program.x, 0), 4])
    program("lstm_cell", program.x, [state, state], *weights)
    program("mul_", weights[1], 0.5)
    with pytest.raises(RefusedError, match="weights of LSTM that are computed"):
        program("lstm_cell", program.x, [state, state], *weights)
