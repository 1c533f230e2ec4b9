from dataclasses import replace

import numpy as np
import pytest

from reprise import examine, stack
from reprise.errors import SaveError
from reprise.export import export
from reprise.export.layers import as_model, stack_of
from reprise.stack import NotAStack, recognise
from reprise.verify import compare
from reprise.wire import onnx
from tests.export import models, stacks


def test_a_model_is_shown_as_its_layers_in_one_line(tmp_path):
    assert str(stack_of(models.model())) == "embedding 7×5 → RNN 5 → dense 7"
    assert str(stack_of(stacks.model("GRU", "one-hot"))) == "one-hot 7 → GRU 4 → GRU 4 → dense 7 → softmax"
    export(models.model(), tmp_path / "m.onnx")
    assert "Layers\n  embedding 7×5 → RNN 5 → dense 7\n" in str(examine.examine(tmp_path / "m.onnx"))


@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
@pytest.mark.parametrize(("kind", "reset_after"), stacks.KINDS)
def test_the_layers_that_are_found_are_those_that_are_there(kind, reset_after, entrance):
    model = stacks.model(kind, entrance, reset_after=reset_after)
    found, made = stack_of(model), stacks.stack(kind, entrance, reset_after=reset_after)
    assert stack.to_json(found) == stack.to_json(made)
    for name, array in stack.to_tensors(made).items():
        np.testing.assert_array_equal(stack.to_tensors(found)[name], array)


def changed(node, *more):
    """The small language model with another last node."""
    model = models.model()
    graph = onnx.empty("GraphProto")
    graph.CopyFrom(model.lifted.graph)
    graph.node[-1].output[0] = "before"
    graph.node.extend([*more, node])
    return replace(model.lifted, graph=graph)


def test_a_factor_that_is_worked_out_to_one_changes_nothing():
    ones = onnx.node("Cos", ["zeros"], ["ones"])
    lifted = changed(onnx.node("Mul", ["before", "ones"], ["logits"]), ones)
    lifted.graph.initializer.extend([onnx.tensor(np.zeros(1, np.float32), "zeros")])
    assert str(recognise(lifted)) == "embedding 7×5 → RNN 5 → dense 7"


def test_an_operator_that_no_layer_stands_for_is_the_reason():
    found = recognise(changed(onnx.node("Mul", ["before", "before"], ["logits"])))
    assert found == NotAStack("no layer stands for operator 'Mul' ('logits')")


def test_a_state_that_no_layer_starts_from_is_the_reason():
    found = recognise(models.model(drop_state=True).lifted)
    assert found == NotAStack("the RNN 'Y' does not start from a part of a state")


def test_a_number_of_rows_that_only_a_file_says_is_not_made():
    lifted = models.model().lifted
    state = replace(lifted.interface.states[0], shape=(2**31 - 1, models.H))
    found = recognise(replace(lifted, interface=replace(lifted.interface, states=(state,))))
    assert "its states and inputs are too large (2147483647 rows)" in str(found)


def test_layers_that_seem_right_and_compute_something_else_are_refused(tmp_path):
    with pytest.raises(SaveError, match=r"it seems to be embedding 7×5 → RNN 5 → dense 7, and these compute something"):
        export(models.model(still=True), tmp_path / "m.safetensors", to="safetensors")
    assert not list(tmp_path.iterdir())


def test_a_layout_that_hides_something_is_seen_by_computing():
    one, none = (onnx.tensor(np.array([n]), f"{n}") for n in (-1, -100))
    node = onnx.node("Slice", ["before", "-1", "-100", "axis", "-1"], ["logits"])  # the steps backwards
    lifted = changed(node)
    lifted.graph.initializer.extend([one, none, onnx.tensor(np.array([1]), "axis")])
    model = models.model()
    reversed_steps = type(model)(model.stored, lambda _: lifted, lambda: None, model.vocabulary)
    with pytest.raises(SaveError, match="these compute something else"):
        stack_of(reversed_steps)


def test_a_stack_runs_as_the_model_that_it_was_read_from():
    model = stacks.model("LSTM", layers=3)
    assert compare(model, as_model(stack_of(model), model), batch=4, steps=9).worst == 0
