import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import reprise
from reprise.errors import SaveError, VerificationError
from reprise.export import export, torch
from tests.export import models, stacks


@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
@pytest.mark.parametrize(("kind", "reset_after"), stacks.KINDS)
def test_what_is_written_computes_the_same(kind, reset_after, entrance, tmp_path):
    report = export(stacks.model(kind, entrance, reset_after=reset_after), tmp_path / "m", to="torch")
    assert report.worst < 1e-5
    written = {p.name for p in (tmp_path / "m").iterdir()} - {"__pycache__"}
    assert written == {"config.json", "model.py", "model.safetensors"}


def test_the_weights_are_named_as_pytorch_names_them(tmp_path):
    model = stacks.model()
    export(model, tmp_path / "m", to="torch")
    held = load_file(tmp_path / "m" / "model.safetensors")
    assert held["layer1.weight_ih_l0"].shape == (16, 3)
    again = reprise.restore(tmp_path / "m" / "model.safetensors")  # by the names that every program of PyTorch has
    outputs, _ = again.run(np.array([[0, 3, 6]]))
    expected, _ = model.run(np.array([[0, 3, 6]]))
    np.testing.assert_allclose(outputs["layer3"][0], expected["logits"], atol=1e-6)


def test_the_program_reads_as_its_layers(tmp_path):
    export(stacks.model(layers=1), tmp_path / "m", to="torch")
    program = (tmp_path / "m" / "model.py").read_text()
    compile(program, "model.py", "exec")
    assert "        self.layer1 = nn.LSTM(3, 4, batch_first=True)\n" in program
    assert '        x1, state["layer1"] = self.layer1(x0, state["layer1"])\n' in program
    assert '        return {"logits": x2, "probabilities": x3}, state\n' in program


def test_the_configuration_has_the_symbols(tmp_path):
    export(stacks.model(), tmp_path / "m", to="torch")
    assert json.loads((tmp_path / "m" / "config.json").read_text())["vocabulary"]["symbols"] == list("abcdefg")


def test_a_sequence_starts_from_the_state_of_the_file(tmp_path):
    model = models.model(initial="file")
    export(model, tmp_path / "m", to="torch")
    held = load_file(tmp_path / "m" / "model.safetensors")
    np.testing.assert_array_equal(held["layer1_h"], model.initial_state(1)["h"][None])
    assert '"layer1": self.layer1_h.repeat(1, batch, 1),' in (tmp_path / "m" / "model.py").read_text()


def test_gates_in_another_order_are_not_kept(tmp_path, monkeypatch):
    stacks.wrong_order(monkeypatch, torch)
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(stacks.model(), tmp_path / "m", to="torch")
    assert not list(tmp_path.iterdir())


def test_activations_that_pytorch_does_not_have_are_refused(tmp_path):
    with pytest.raises(SaveError, match="PyTorch has no GRU with the activations Sigmoid, Relu"):
        export(stacks.model("GRU", activations=("Sigmoid", "Relu")), tmp_path / "m", to="torch")
