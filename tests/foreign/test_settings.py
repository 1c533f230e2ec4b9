"""Inputs that choose a branch, functions, and numbers in files beside the model."""

import numpy as np
import pytest

import reprise
from reprise.errors import CallError, DamagedFile, MissingFile
from reprise.wire import onnx
from tests.foreign.building import D, H, cell_weights, numbers, save, tensors, value


def two_rates(path):
    """x [T, N, D] and a rate: 16000 runs one GRU, anything else another, inside of branches."""

    def branch(weights):
        node = onnx.node("GRU", ["x", weights, "R", "B", "", "h"], ["Y", "last"], hidden_size=H)
        return onnx.graph([node], "branch", [], [onnx.value_info("Y"), onnx.value_info("last")])

    nodes = [
        onnx.node("Equal", ["rate", "known"], ["is"]),
        onnx.node("If", ["is"], ["y", "h2"], then_branch=branch("W"), else_branch=branch("V")),
    ]
    held = tensors(**cell_weights(3), V=numbers(1, 3 * H, D, seed=7), known=np.array(16000))
    inputs = [value("x", "t", "n", D), value("rate", kind=onnx.INT64), value("h", 1, "n", H)]
    return save(path, nodes, inputs, ["y", "h2"], held)


def test_a_number_that_chooses_a_branch_is_a_setting(tmp_path):
    model = reprise.restore(two_rates(tmp_path / "m.onnx"))
    assert [(s.name, s.value) for s in model.interface.settings] == [("rate", 16000)]
    assert [(s.source_in, s.source_out) for s in model.interface.states] == [("h", "h2")]


def test_another_value_of_a_setting_takes_the_other_branch(tmp_path):
    path, x = two_rates(tmp_path / "m.onnx"), numbers(4, 2, D)
    model = reprise.restore(path)
    by_call = model.run(x, settings={"rate": 8000})[0]["y"]
    by_choice = reprise.restore(path, settings={"rate": 8000}).run(x)[0]["y"]
    np.testing.assert_array_equal(by_call, by_choice)
    assert np.abs(by_call - model.run(x)[0]["y"]).max() > 0.01


def test_a_function_of_the_model_is_opened(tmp_path):
    function = onnx.empty("FunctionProto")
    function.name, function.domain = "Recur", "mine"
    function.input.extend(["a", "state"])
    function.output.extend(["b", "next"])
    function.attribute.append("units")
    node = onnx.node("GRU", ["a", "W", "R", "B", "", "state"], ["b", "next"])
    size = node.attribute.add(name="hidden_size", ref_attr_name="units")
    size.type = onnx.ATTRIBUTE_TYPES["INT"]
    function.node.append(node)
    call = onnx.node("Recur", ["x", "h"], ["y", "h2"], domain="mine", units=H)
    inputs = [value("x", "t", "n", D), value("h", 1, "n", H)]
    path = save(tmp_path / "m.onnx", [call], inputs, ["y", "h2"], tensors(**cell_weights(3)), functions=[function])
    model = reprise.restore(path)
    assert [(s.source_in, s.source_out) for s in model.interface.states] == [("h", "h2")]


def beside(folder, location="weights.bin", length=None):
    """A GRU whose input weights lie in another file."""
    weights = cell_weights(3)
    held = tensors(**weights)
    raw = weights["W"].tobytes()
    (folder / "weights.bin").write_bytes(b"\0" * 16 + raw)
    held[0].ClearField("raw_data")
    held[0].data_location = onnx.EXTERNAL
    facts = {"location": location, "offset": "16", "length": str(length or len(raw))}
    for key, text in facts.items():
        held[0].external_data.add(key=key, value=text)
    nodes = [onnx.node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=H)]
    return save(folder / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], held)


def test_numbers_in_a_file_beside_the_model_are_read(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    nodes = [onnx.node("GRU", ["x", "W", "R", "B"], ["y"], hidden_size=H)]
    whole = save(inside / "m.onnx", nodes, [value("x", "t", "n", D)], ["y"], tensors(**cell_weights(3)))
    x = numbers(4, 2, D)
    found = reprise.restore(beside(tmp_path)).run(x)[0]["y"]
    np.testing.assert_array_equal(found, reprise.restore(whole).run(x)[0]["y"])


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "", "sub/../../weights.bin", "link.bin"])
def test_a_file_outside_of_the_folder_is_not_read(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4096)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(DamagedFile, match=r"tensor 'W' lies in '.*', which is not in the folder of the model"):
        reprise.restore(beside(folder, location))


def test_a_file_beside_the_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"keeps the numbers of 'W' in 'gone.bin', which is not there"):
        reprise.restore(beside(tmp_path, "gone.bin"))


def test_numbers_beside_the_model_must_be_as_many_as_the_shape_says(tmp_path):
    with pytest.raises(DamagedFile, match=r"tensor 'W' has 180 bytes; the model names 176 at 16 of weights.bin"):
        reprise.restore(beside(tmp_path, length=176))


def test_a_choice_that_such_a_file_does_not_have_is_refused(tmp_path):
    with pytest.raises(CallError, match="cell"):
        reprise.restore(two_rates(tmp_path / "m.onnx"), cell={"kind": "gru"})
