from dataclasses import replace

import numpy as np

import reprise
from reprise.vocabulary import Vocabulary
from tests.comparison.test_compare import dressed
from tests.export import stacks
from tests.export.models import KEEP
from tests.export.models import model as small


def test_a_model_does_not_differ_from_itself():
    found = reprise.diff(stacks.model(), stacks.model())
    assert found.same
    assert str(found).startswith(f"weights: {found.compared} of {found.compared} are the same")


def test_a_changed_gate_is_named_with_its_layer():
    made = stacks.stack("LSTM", "one-hot")
    recurrent = made.layers[2].recurrent.copy()
    recurrent[2 * stacks.H : 3 * stacks.H] += 0.25
    layers = (*made.layers[:2], replace(made.layers[2], recurrent=recurrent), *made.layers[3:])
    found = reprise.diff(dressed(), dressed(layers=replace(made, layers=layers)))
    (change,) = found.weights
    assert (change.layer, change.weights) == ("2 LSTM 4", "forget gate, recurrent kernel")
    assert change.largest == np.float32(0.25)
    assert "2 LSTM 4  forget gate, recurrent kernel  0.25" in str(found)


def test_a_bias_that_moved_from_one_sum_to_the_other_is_no_change():
    made = stacks.stack("GRU", "one-hot", reset_after=False)
    one = made.layers[1]
    moved = replace(one, bias=one.bias + one.recurrent_bias, recurrent_bias=np.zeros_like(one.bias))
    layers = (made.layers[0], moved, *made.layers[2:])
    assert reprise.diff(dressed(layers=made), dressed(layers=replace(made, layers=layers))).weights == ()


def test_tensors_of_models_that_are_no_stacks_go_by_name_and_else_by_their_numbers():
    other = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    found = reprise.diff(small(drop_state=True), small(drop_state=True, changed={"E": other}))
    assert [c.weights for c in found.weights] == ["E"]


def test_interface_vocabulary_and_settings_are_told():
    a, b = small(settings=(KEEP,)), small().with_vocabulary(Vocabulary.of_text("abcdefh"))
    found = str(reprise.diff(a, b))
    assert "keep: 1.0; absent" in found
    assert "vocabulary: 1 of 7 symbols differ: id 6 is 'g' in the first and 'h' in the second" in found
    renamed = str(reprise.diff(stacks.model("LSTM", "one-hot"), dressed()))
    assert "input x: int32[N, T] tokens; absent" in renamed


def test_other_layers_are_shown_side_by_side():
    found = reprise.diff(stacks.model("LSTM"), stacks.model("GRU"))
    assert not found.same
    assert "first: embedding 7×3 → LSTM 4 → LSTM 4 → dense 7 → softmax" in str(found)
