"""Which models the shapes and scopes of stored tensors can be."""

import numpy as np
import pytest

from reprise.errors import AmbiguousInterface, CallError
from reprise.tensors import in_memory
from reprise.weights import describe_weights, layers_of_weights, ways
from reprise.weights.own import own
from reprise.weights.reading import readings
from reprise.weights.unstored import Unstored, cell_options

LSTM = {"kind": "lstm", "forget_bias": 1.0, "activation": "tanh"}


def lstm(scope, inputs, units):
    return {f"{scope}/kernel": (inputs + units, 4 * units), f"{scope}/bias": (4 * units,)}


def gru(scope, inputs, units):
    gates = {f"{scope}/gates/kernel": (inputs + units, 2 * units), f"{scope}/gates/bias": (2 * units,)}
    return gates | {f"{scope}/candidate/kernel": (inputs + units, units), f"{scope}/candidate/bias": (units,)}


def told(kind, *parts):
    shapes = {name: shape for part in parts for name, shape in part.items()}
    return [str(reading) for reading in readings(kind, shapes)]


TABLE, HEAD = {"embedding": (30, 6)}, {"softmax_w": (8, 30), "softmax_b": (30,)}


def test_layers_of_one_shape_stand_in_the_order_that_their_scopes_count():
    parts = [lstm(f"rnn/cell_{i}/lstm_cell", 8, 8) for i in (10, 1, 2)]
    assert told("lstm", TABLE, lstm("rnn/cell_0/lstm_cell", 6, 8), *parts, HEAD) == [
        "rows of embedding → LSTM 6 → 8 (rnn/cell_0/lstm_cell) → LSTM 8 → 8 (rnn/cell_1/lstm_cell) → "
        "LSTM 8 → 8 (rnn/cell_2/lstm_cell) → LSTM 8 → 8 (rnn/cell_10/lstm_cell) → softmax_w"
    ]


def test_a_scope_without_a_number_comes_before_its_copies():
    (reading,) = told("lstm", lstm("a/lstm_1", 8, 8), lstm("a/lstm", 8, 8), lstm("a/lstm_2", 8, 8))
    assert reading == "8 numbers → LSTM 8 → 8 (a/lstm) → LSTM 8 → 8 (a/lstm_1) → LSTM 8 → 8 (a/lstm_2)"


def test_layers_whose_scopes_do_not_count_them_are_refused():
    with pytest.raises(AmbiguousInterface, match=r"order of layers is not known: rnn/fw, rnn/bw have the same shapes"):
        told("lstm", lstm("rnn/fw", 8, 8), lstm("rnn/bw", 8, 8), HEAD)


def test_shapes_decide_the_order_whatever_the_names():
    (reading,) = told("gru", gru("second", 6, 8), gru("first", 8, 5), {"w": (5, 3)}, TABLE)
    assert reading == "rows of embedding → GRU 6 → 8 (second) → GRU 8 → 5 (first) → w"


def test_of_two_orders_that_fit_the_counted_one_is_taken_and_else_both_are_told():
    counted = told("lstm", lstm("cell_1", 5, 8), lstm("cell_0", 8, 5))
    assert counted == ["8 numbers → LSTM 8 → 5 (cell_0) → LSTM 5 → 8 (cell_1)"]
    assert len(told("lstm", lstm("one", 5, 8), lstm("other", 8, 5))) == 2


def test_a_projection_and_peepholes_belong_to_the_cell_in_whose_scope_they_lie():
    shapes = {"cell/kernel": (6 + 3, 32), "cell/bias": (32,), "cell/projection/kernel": (8, 3)}
    shapes |= {f"cell/{role}": (8,) for role in ("w_i_diag", "w_f_diag", "w_o_diag")}
    (reading,) = readings("lstm", shapes)
    (cell,) = reading.cells
    assert (cell.inputs, cell.outputs, cell.units) == (6, 3, 8)
    assert cell.tensors["projection"] == "cell/projection/kernel"
    assert cell.tensors["w_f_diag"] == "cell/w_f_diag"


def test_fused_gru_cells_keep_all_tensors_in_one_scope():
    shapes = {"g/w_ru": (14, 16), "g/b_ru": (16,), "g/w_c": (14, 8), "g/b_c": (8,)}
    assert told("gru", TABLE, shapes, HEAD) == ["rows of embedding → GRU 6 → 8 (g) → softmax_w"]


@pytest.mark.parametrize(
    "more",
    [
        {"norm/gamma": (8,)},
        {"conv/kernel": (3, 3, 6)},
        {"inner": (8, 8)},  # a second dense layer may stand before the other: what is between them is not known
        {"state": (2, 8)},
    ],
)
def test_a_tensor_without_a_place_refuses_all(more):
    assert told("lstm", TABLE, lstm("rnn", 6, 8), HEAD)
    assert told("lstm", TABLE, lstm("rnn", 6, 8), HEAD, more) == []


def test_the_error_names_what_has_no_place():
    shapes = {**TABLE, **lstm("rnn", 6, 8), **HEAD, "norm/gamma": (8,)}
    weights = {name: in_memory(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    with pytest.raises(
        AmbiguousInterface, match=r"read as LSTM cells .* 1 of 6 tensors have no place: norm/gamma \[8\]"
    ):
        layers_of_weights(weights, LSTM)


def test_too_many_orders_are_refused_soon():
    shapes = [lstm(f"{a}{b}", a, b) for a in range(4, 13) for b in range(4, 13)]
    with pytest.raises(AmbiguousInterface, match="more than 10000 orders of layers are possible"):
        told("lstm", *shapes, {"odd": (1000, 999)})


def test_two_dense_layers_that_could_follow_each_other_are_refused():
    shapes = {**lstm("rnn", 6, 8), "inner": (8, 8), **HEAD}
    weights = {name: in_memory(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    with pytest.raises(AmbiguousInterface, match="the dense layers after the cells can stand in more than one way"):
        layers_of_weights(weights, LSTM)


def test_checkpoints_of_large_models_are_not_searched():
    parts = [lstm(f"lstm_{i}", 8, 8) for i in range(1000)]
    weights = {n: in_memory(np.zeros(s, np.float32)) for part in parts for n, s in part.items()}
    with pytest.raises(AmbiguousInterface, match="2000 tensors are too many to be put together by their shapes alone"):
        layers_of_weights(weights, LSTM)
    assert describe_weights(weights).endswith("LSTM 8 → 8 (lstm_5) and 994 more.")
    assert ways(weights) == ""


def test_slots_averages_and_single_numbers_are_no_weights():
    held = {"m/w": (2, 3), "m/w/Adam": (2, 3), "opt/m/w/Adam_1": (2, 3), "m/w/ExponentialMovingAverage": (2, 3)}
    weights = {name: in_memory(np.zeros(shape, np.float32)) for name, shape in held.items()}
    weights |= {"global_step": in_memory(np.int64(3)), "lr": in_memory(np.float32(0.1)), "m/b/w": weights["m/w"]}
    kept, unused = own(weights)
    assert kept == {"m/w": (2, 3), "m/b/w": (2, 3)}
    assert unused == ("global_step", "lr")


def test_what_is_said_of_a_cell():
    assert cell_options(LSTM) == Unstored("lstm", "tanh", 1.0)
    assert cell_options({"kind": "gru", "activation": "relu"}) == Unstored("gru", "relu")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({}, r"cell: kind is missing; expected one of lstm, gru, rnn"),
        ({"kind": "cfc"}, r"cell: kind is cfc; expected"),
        (
            {"kind": "lstm", "activation": "tanh"},
            r"forget_bias is missing; of a cell of kind lstm, say kind=lstm,forget_bias=1.0,activation=tanh and p",
        ),
        (
            {"kind": "gru", "activation": "tanh", "forget_bias": 1},
            r"cell: forget_bias is not known; of a cell of kind g",
        ),
        ({**LSTM, "activation": "swish"}, r"activation is 'swish'; expected one of tanh, relu, sigmoid"),
        ({**LSTM, "forget_bias": "one"}, r"forget_bias is 'one'; expected a number"),
    ],
)
def test_what_is_said_wrongly_is_refused_with_what_to_say(cell, words):
    with pytest.raises(CallError, match=words):
        cell_options(cell)
