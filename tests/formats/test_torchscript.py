"""TorchScript archives: programs that are read and never run. The files are made by tests/data/torchscript/make.py."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import reprise
from reprise.errors import DamagedFile, UnknownFormat
from reprise.formats import identify
from tests.formats.contract import FormatContract

FILES = Path(__file__).parents[1] / "data" / "torchscript"


class TestContract(FormatContract):
    name = "TorchScript"

    @classmethod
    def write(cls, folder):
        return Path(shutil.copy(FILES / "tagger_traced.pt", folder))


def rewritten(path, name, change, ending="__torch__.py"):
    """A copy of an archive whose program `change` has changed."""
    with zipfile.ZipFile(FILES / f"{name}.pt") as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member.endswith(ending):
                data = change(data.decode()).encode()
            new.writestr(zipfile.ZipInfo(member), data)
    return path


def with_statement(path, statement):
    """A copy of the step whose `forward` begins with another statement."""

    def change(text):
        head, colon, body = text.partition(") -> Tuple[Tensor, Tensor, Tensor]:\n")
        return head + colon + f"    {statement}\n" + body

    return rewritten(path, "step", change)


@pytest.mark.parametrize("name", ["policy", "tagger_scripted", "tagger_frozen", "tagger_traced", "step", "kept"])
def test_carried_steps_are_those_of_pytorch(name):
    assert_carried_steps(FILES / f"{name}.pt", name)


def assert_carried_steps(path, name):
    """The model of a file computes the steps that are recorded under a name."""
    record = np.load(FILES / f"{name}.npz")
    model = reprise.restore(path)
    port = model.interface.inputs[0]
    batch = record["inputs"].shape[1]
    state = model.initial_state(batch=batch)
    given = [key for key in record.files if key.startswith("state")]
    state = state.replace({n: record[key] for n, key in zip(state, given, strict=False)})
    outputs = []
    for x in record["inputs"]:
        answer, state = model.step({port.name: x if port.time_axis is None else x.take(0, port.time_axis)}, state)
        outputs.append(np.asarray(answer[model.interface.outputs[0].name]))
    np.testing.assert_allclose(np.stack(outputs).ravel(), record["outputs"].ravel(), atol=1e-5)
    for n, key in zip(state, given, strict=False):
        np.testing.assert_allclose(state[n], record[key.replace("state", "after")], atol=1e-5)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_numbers_are_added_along_the_last_axis_first(tmp_path, mode):
    path = with_statement(tmp_path / "m.pt", f'x = torch.slice(torch.pad(x, [2, 1], "{mode}"), 1, 2, 5)')
    assert_carried_steps(path, "step")


def test_what_a_call_changes_in_its_module_is_a_state_that_starts_from_the_file():
    model = reprise.restore(FILES / "policy.pt")
    first = model.initial_state(batch=1)
    assert [(s.name, s.initial) for s in model.interface.states] == [("hidden", "file"), ("cell", "zeros")]
    assert np.any(first["hidden"])
    assert not np.any(first["cell"])


def policy(path, *statements):
    """A copy of the policy whose `forward` has other statements; x has as many numbers as its states."""

    def change(text):
        head, colon, _ = text.partition("x: Tensor) -> Tensor:\n")
        start = ["x = torch.unsqueeze(torch.pad(x, [0, 1]), 0)", "hidden = self.hidden", "cell = self.cell"]
        return head + colon + "".join(f"    {s}\n" for s in (*start, *statements))

    return rewritten(path, "policy", change)


def test_states_that_are_only_handed_on_are_carried(tmp_path):
    statements = "y = torch.clone(hidden)", "_0 = torch.copy_(hidden, cell)", "self.cell = x", "return y"
    model = reprise.restore(policy(tmp_path / "m.pt", *statements))
    state = model.initial_state(batch=1)
    xs = np.random.default_rng(0).normal(size=(5, 1, 3)).astype(np.float32)
    wanted = [state["hidden"], state["cell"], *(np.pad(x, [(0, 0), (0, 1)])[None] for x in xs)]
    for x, y in zip(xs, wanted, strict=False):
        outputs, state = model.step({"x": x}, state)
        np.testing.assert_allclose(outputs["output"], y)


def test_what_modules_hold_in_lists_and_dictionaries_is_a_state():
    model = reprise.restore(FILES / "kept.pt")
    assert {s.name: s.initial for s in model.interface.states} == {"states.0": "file", "past.x": "file"}


def test_a_module_that_was_saved_in_training_mode_is_run_in_evaluation_mode_and_says_so():
    note = "its modules were saved in training mode; it is run in evaluation mode, as after eval()"
    assert note in reprise.restore(FILES / "kept.pt").stored.notes
    assert note not in reprise.restore(FILES / "policy.pt").stored.notes


def test_weights_of_a_layer_that_a_call_changes_for_the_next_one_are_refused(tmp_path):
    def change(text):
        return text.replace("states0 = self.states", "_9 = torch.mul_(cell.weight_hh, 0.5)\n    states0 = self.states")

    with pytest.raises(UnknownFormat, match=r"changes 'cell.weight_hh', which is also a weight of a layer"):
        reprise.restore(rewritten(tmp_path / "m.pt", "kept", change))


def test_a_change_in_what_may_be_a_copy_of_a_state_is_refused(tmp_path):
    path = policy(tmp_path / "m.pt", "y = torch.mul_(torch.contiguous(hidden), 0.5)", "return y")
    with pytest.raises(UnknownFormat, match="changes in place what may be a copy of a tensor of the file"):
        reprise.restore(path)


def test_a_frozen_module_that_takes_a_single_row_too_is_read_for_batches():
    (port,) = reprise.restore(FILES / "tagger_frozen.pt").interface.inputs
    assert port.shape == (None, None)


def test_an_archive_with_a_program_is_claimed_as_torchscript_alone():
    assert identify(FILES / "policy.pt").name == "TorchScript"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("_x = torch.fft_rfft(x)", "calls the operator fft_rfft, which has no translation"),
        ("_x = os.system(x)", "calls os.system, which is not known"),
        ("_x = __import__(x)", "calls __import__, which is not known"),
        ("_x = (self).forward(x, h, c, )", "more than 40 deep"),
        ("while True:\n      pass", "takes more than 50000 steps to read"),
        ("for _i in range(1099511627776):\n      pass", "takes more than 50000 steps to read"),
        ("_x = torch.zeros([1099511627776])", "a tensor of 1099511627776 numbers"),
        ("_x = torch.mul([0], 1099511627776)", "a list of more than"),
        ("import os", "a statement of the kind Import, which is not read"),
        ("if torch.gt(x, 0):\n      pass\n    else:\n      pass", "takes a branch that depends on numbers or sizes"),
        ("_x = self.nothing", "which it does not hold"),
        ("_x = lambda: 1", "an expression of the kind Lambda"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name_and_place(tmp_path, statement, words):
    with pytest.raises(UnknownFormat, match=words) as error:
        reprise.restore(with_statement(tmp_path / "m.pt", statement))
    assert "Step.forward, line" in str(error.value)


@pytest.mark.parametrize("text", ["class (", "(" * 5000 + ")" * 5000])
def test_source_that_is_none_is_damage(tmp_path, text):
    path = rewritten(tmp_path / "m.pt", "step", lambda _: text)
    with pytest.raises(DamagedFile, match="is not the source of a TorchScript program"):
        reprise.restore(path)


def test_a_module_without_forward_is_refused_with_the_methods_that_it_has(tmp_path):
    path = rewritten(tmp_path / "m.pt", "step", lambda text: text.replace("def forward", "def advance"))
    with pytest.raises(UnknownFormat, match=r"has no forward to be read \(it has: advance\)"):
        reprise.restore(path)
