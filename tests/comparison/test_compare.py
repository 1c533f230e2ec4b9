"""Two models that compute the same in other clothes, and two that do not."""

from dataclasses import replace

import pytest

import reprise
from reprise.errors import VerificationError
from reprise.interface import Port, StatePort
from reprise.model import RecurrentModel
from reprise.stack import lift_stack
from reprise.vocabulary import Vocabulary
from tests.export import stacks
from tests.export.models import model as small


def dressed(kind="LSTM", *, entrance="tokens", output="logits", vocabulary="abcdefg", layers=None):
    """The stack of `stacks.model(kind, "one-hot")` with other names, time-major axes, one state for each of h and c."""
    made = layers or stacks.stack(kind, "one-hot")
    recurrent = {}
    states = []
    for k, (i, layer) in enumerate(made.recurrent()):
        parts = {}
        for name in layer.parts:
            states.append(StatePort(f"s{k}{name}", None, None, None, "float32", (1, None, stacks.H), 1, "zeros"))
            parts[name] = replace(layer.parts[name], state=f"s{k}{name}", start=0)
        recurrent[i] = replace(layer, parts=parts)
    renamed = tuple(recurrent.get(i, layer) for i, layer in enumerate(made.layers))
    made = replace(made, layers=renamed, outputs={"y": made.outputs[output]})
    shape = (None, None)
    entry = Port("ids", None, "int64", shape, 0, 1, entrance)
    out = Port("y", None, "float32", (None, None, stacks.V), 0, 1, output)
    face = replace(stacks.interface(made), inputs=(entry,), outputs=(out,), states=tuple(states))
    graph = lift_stack(made, face)
    held = stacks.model(kind, "one-hot")
    return RecurrentModel(held.stored, lambda _: graph, lambda: None, Vocabulary.of_text(vocabulary))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_other_names_layouts_and_packed_states_are_no_difference(kind):
    found = reprise.compare(stacks.model(kind, "one-hot"), dressed(kind), steps=6)
    assert found.equal
    assert {"zero", "random", "whole"} <= set(found.report.errors)
    assert {d.tensor for d in found.report.largest} >= {"logits", "layer0.h", "layer1.h"}
    assert found.notes == ("only the first has output 'probabilities' (probabilities)",)
    assert found.text is not None
    assert found.text.same == found.text.symbols == 200


def test_logits_are_compared_with_probabilities_as_probabilities():
    a, b = dressed(output="logits"), dressed(output="probabilities")
    found = reprise.compare(a, b, steps=4)
    assert found.equal
    assert "y" in {d.tensor for d in found.report.largest}


def test_a_changed_gate_shows_where_it_shows_first():
    made = stacks.stack("LSTM", "one-hot")
    recurrent = made.layers[2].recurrent.copy()
    recurrent[: stacks.H] += 0.1
    other = dressed(
        layers=replace(made, layers=(*made.layers[:2], replace(made.layers[2], recurrent=recurrent), *made.layers[3:]))
    )
    found = reprise.compare(stacks.model("LSTM", "one-hot"), other, steps=4)
    assert not found.equal
    assert "differ first at step 2 from zero state" in str(found)
    with pytest.raises(VerificationError, match="the models differ first at step 2"):
        found.raise_if_different()
    worst = {d.tensor: d.error for d in found.report.largest}
    assert worst["layer0.h"] < 1e-6 < worst["layer1.h"]


def test_the_same_numbers_for_other_symbols_are_a_difference():
    found = reprise.compare(stacks.model("LSTM", "one-hot"), dressed(vocabulary="abcdefh"), steps=3)
    assert found.report.equal
    assert not found.equal
    assert "1 of 7 symbols differ: id 6 is 'g' in the first and 'h' in the second" in str(found)


def test_states_that_cannot_be_matched_leave_the_first_states():
    a, b = stacks.model("LSTM", "one-hot"), stacks.model("GRU", "one-hot")
    found = reprise.compare(a, b, steps=3)
    assert not found.equal
    assert "their states cannot be matched" in str(found)
    assert "random" not in found.report.errors


def test_models_of_other_inputs_are_refused_by_both_lists():
    with pytest.raises(
        VerificationError,
        match=r"they take x \(tokens \[any, any\]\) and x \(features \[any, any, 3\]\)",
    ):
        reprise.compare(stacks.model(), stacks.model(entrance="features"))


def test_ids_and_one_hot_vectors_are_the_same_input():
    made = stacks.stack("LSTM", "one-hot")
    entry = Port("x", None, "float32", (None, None, stacks.V), 1, 0, "one-hot")
    layers = (stacks.StackFeatures(stacks.V), *made.layers[1:])
    face = replace(stacks.interface(made), inputs=(entry,))
    graph = lift_stack(replace(made, layers=layers), face)
    fed = RecurrentModel(stacks.model().stored, lambda _: graph, lambda: None, Vocabulary.of_text("abcdefg"))
    for pair in ((fed, stacks.model("LSTM", "one-hot")), (stacks.model("LSTM", "one-hot"), fed)):
        found = reprise.compare(*pair, steps=4)
        assert found.equal
        assert found.text.same == 200


def test_another_first_state_is_found_from_zero_state():
    found = reprise.compare(small(), small(initial="file"), steps=2)
    assert found.report.errors["zero"][0] > 0.01
    assert max(found.report.errors["random"]) == 0


def test_what_it_says_is_also_data():
    facts = reprise.compare(small(), small(), steps=2).to_json()
    assert facts["equal"]
    assert {row["tensor"] for row in facts["largest"]} == {"logits", "h"}
    assert facts["greedy"] == {"symbols": 200, "same": 200}
