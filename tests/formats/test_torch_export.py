"""Exports of PyTorch: graphs that are read as data. The files are made by tests/data/torchscript/make.py."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import reprise
from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats import identify
from reprise.wire import torch_export
from tests.formats.contract import FormatContract
from tests.formats.torch_files import save

FILES = Path(__file__).parents[1] / "data" / "torchscript"


class TestContract(FormatContract):
    name = "torch.export"

    @classmethod
    def write(cls, folder):
        return Path(shutil.copy(FILES / "exported_tagger.pt2", folder))


def changed(path, change, name="exported_policy"):
    """A copy of an export whose program, as JSON, `change` has changed."""
    with zipfile.ZipFile(FILES / f"{name}.pt2") as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if "/models/" in member:
                program = json.loads(data)
                change(program)
                data = json.dumps(program).encode()
            new.writestr(zipfile.ZipInfo(member), data)
    return path


def nodes(program):
    return program["graph_module"]["graph"]["nodes"]


def assert_steps_are_those_of_pytorch(model, name):
    record = np.load(FILES / f"{name}.npz")
    port = model.interface.inputs[0]
    given = [key for key in record.files if key.startswith("state")]
    first = model.initial_state(batch=record[given[0]].shape[1] if given else 1)
    state = first.replace({n: record[key] for n, key in zip(first, given, strict=False)})
    for x, wanted in zip(record["inputs"], record["outputs"], strict=True):
        answer, state = model.step({port.name: x if port.time_axis is None else x.take(0, port.time_axis)}, state)
        np.testing.assert_allclose(answer[model.interface.outputs[0].name].ravel(), wanted.ravel(), atol=1e-5)
    for n, key in zip(state, given, strict=False):
        np.testing.assert_allclose(state[n], record[key.replace("state", "after")], atol=1e-5)


@pytest.mark.parametrize("name", ["exported_policy", "exported_tagger", "exported_stack"])
def test_carried_steps_are_those_of_pytorch(name):
    assert_steps_are_those_of_pytorch(reprise.restore(FILES / f"{name}.pt2"), name)


def test_states_are_what_a_call_changes_and_what_enters_and_leaves():
    policy, stack = (reprise.restore(FILES / f"exported_{name}.pt2") for name in ("policy", "stack"))
    assert [(s.name, s.initial) for s in policy.interface.states] == [("hidden", "file"), ("cell", "zeros")]
    assert [(s.source_in, s.source_out) for s in stack.interface.states] == [("h", "state.0"), ("c", "state.1")]
    assert stack.interface.outputs[0].name == "torque"


def in_the_older_form(path):
    """An export as PyTorch 2.5 writes it: the tensors in files of `torch.save`, arguments without their kind."""
    file = FILES / "exported_policy.pt2"
    with zipfile.ZipFile(file) as old:
        program = json.loads(old.read(next(n for n in old.namelist() if "/models/" in n)))
    program["schema_version"] = {"major": 7, "minor": 3}
    for node in nodes(program):
        node["inputs"] = [{"name": i["name"], "arg": i["arg"]} for i in node["inputs"]]
    tensors = {name: t.load() for name, t in torch_export.read(file).tensors.items()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in (("state_dict", tensors), ("constants", {})):
            new.writestr(f"serialized_{name}.pt", save(path.with_suffix(".pt"), content).read_bytes())
        new.writestr("serialized_exported_program.json", json.dumps(program))
        new.writestr("version", "7.3")
    return path


def test_the_form_of_older_versions_is_read(tmp_path):
    model = reprise.restore(in_the_older_form(tmp_path / "m.pt2"))
    assert_steps_are_those_of_pytorch(model, "exported_policy")


def test_a_state_that_a_functional_graph_gives_as_a_mutation_is_carried(tmp_path):
    def functional(program):
        kept = [n for n in nodes(program) if "copy_" not in n["target"]]
        names = [n["inputs"][1]["arg"]["as_tensor"] for n in nodes(program) if "copy_" in n["target"]]
        nodes(program)[:] = kept
        program["graph_module"]["signature"]["output_specs"][:0] = [
            {"buffer_mutation": {"arg": name, "buffer_name": buffer}}
            for name, buffer in zip(names, ("hidden", "cell"), strict=True)
        ]

    model = reprise.restore(changed(tmp_path / "m.pt2", functional))
    assert_steps_are_those_of_pytorch(model, "exported_policy")


def test_infinity_is_a_number_of_an_argument(tmp_path):
    def clamped(program):
        name = nodes(program)[0]["outputs"][0]["as_tensor"]["name"]
        program["graph_module"]["graph"]["tensor_values"]["clamped"] = {}
        given = [("self", {"as_tensor": {"name": name}}), ("max", {"as_float": "Infinity"})]
        inputs = [{"name": n, "arg": arg, "kind": 1 + (n == "max")} for n, arg in given]
        nodes(program)[1]["inputs"][0]["arg"]["as_tensor"]["name"] = "clamped"
        made = {"target": "torch.ops.aten.clamp.default", "inputs": inputs, "metadata": {}}
        nodes(program).insert(1, made | {"outputs": [{"as_tensor": {"name": "clamped"}}]})

    model = reprise.restore(changed(tmp_path / "m.pt2", clamped))
    assert_steps_are_those_of_pytorch(model, "exported_policy")


def set_target(target):
    return lambda program: nodes(program)[1].update(target=target)


def set_argument(argument):
    return lambda program: nodes(program)[0]["inputs"][1].update(arg=argument)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_target("torch.ops.aten.fft_rfft.default"), r"the operator fft_rfft, which has no translation .*node lstm"),
        (set_target("torch.ops.mylib.step.default"), "calls torch.ops.mylib.step.default, which has no translation"),
        (set_target("os.system"), "calls os.system, which has no translation"),
        (set_argument({"as_custom_obj": {"name": "x"}}), "an argument of the kind as_custom_obj"),
        (set_argument({"as_int": 9}), "axis 9 of a tensor of 2 axes"),
        (lambda p: p["schema_version"].update(major=9), "its graph has version 9 .*; 5 to 8 are read"),
        (
            lambda p: p["graph_module"]["signature"]["input_specs"][0]["parameter"].update(parameter_name="other"),
            "names other, which the file does not hold",
        ),
        (
            lambda p: p["graph_module"]["signature"]["output_specs"].append({"gradient_to_parameter": {}}),
            "an output of the kind gradient_to_parameter",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_by_operator_and_place(tmp_path, change, words):
    with pytest.raises(UnknownFormat, match=words):
        reprise.restore(changed(tmp_path / "m.pt2", change))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.pop("graph_module"),
        lambda p: p["graph_module"].pop("signature"),
        lambda p: nodes(p)[0].update(inputs=3),
        lambda p: nodes(p)[0]["inputs"][0].update(arg={"as_tensor": {"name": "nobody"}}),
        lambda p: p["graph_module"]["graph"].update(tensor_values=[]),
    ],
)
def test_a_graph_that_is_none_is_damage(tmp_path, change):
    with pytest.raises(DamagedFile, match=r"has no graph|its graph is not valid"):
        reprise.restore(changed(tmp_path / "m.pt2", change))


def test_compiled_code_and_several_programs_are_refused_with_what_to_do(tmp_path):
    for names, words in (((), "compiled code and no graph"), (("a", "b"), r"several programs \(a, b\)")):
        with zipfile.ZipFile(tmp_path / "m.pt2", "w") as new:
            new.writestr("m/archive_format", "pt2")
            for name in names:
                new.writestr(f"m/models/{name}.json", "{}")
        with pytest.raises(UnknownFormat, match=words):
            reprise.restore(tmp_path / "m.pt2")


def test_tensors_of_a_pickle_in_an_export_are_data_and_nothing_of_it_is_run(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        inner.writestr("x/data.pkl", b"cos\nsystem\n(S'touch hacked'\ntR.")
    path = in_the_older_form(tmp_path / "m.pt2")
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (members | {"serialized_state_dict.pt": stream.getvalue()}).items():
            new.writestr(name, data)
    with pytest.raises(UnknownFormat, match=r"names memory.weight_ih_l0, which the file does not hold"):
        reprise.restore(path)
    assert not Path("hacked").exists()


def test_an_export_is_claimed_alone():
    assert identify(FILES / "exported_policy.pt2").name == "torch.export"
