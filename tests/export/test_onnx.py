import json
from importlib import import_module

import numpy as np
import onnx
import onnxruntime
import pytest

import reprise
from reprise.cli import execute
from reprise.errors import CallError, SaveError, VerificationError
from reprise.export import export
from reprise.lift import onnx_file
from tests.export.models import KEEP, H, model


def test_an_exported_model_restores_as_the_same_model(tmp_path):
    original = model(settings=(KEEP,))
    report = export(original, tmp_path / "m.onnx", steps=3)
    again = reprise.restore(tmp_path / "m.onnx")
    assert report.steps == 3
    assert report.equal
    assert again.interface == original.interface
    assert again.vocabulary == original.vocabulary
    assert again.fingerprint == original.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_any_onnx_runtime_steps_the_file(tmp_path):
    original = model()
    export(original, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["ids", "state_in.h"]
    h = np.full((1, H), 0.3, np.float32)
    logits, after = session.run(["logits", "state_out.h"], {"ids": np.array([[2]], np.int32), "state_in.h": h})
    expected, state = original.run(np.array([[2]]), original.initial_state(1).replace({"h": h}))
    np.testing.assert_array_equal(logits, expected["logits"])
    np.testing.assert_array_equal(after, state["h"])


def test_the_file_says_what_it_is(tmp_path):
    export(model(), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    facts = {entry.key: entry.value for entry in written.metadata_props}
    assert (written.ir_version, written.opset_import[0].version) == (10, 17)
    assert json.loads(facts["reprise.interface"])["states"][0]["source_out"] == "rnn/while/Exit_3:0"
    assert json.loads(facts["reprise.vocabulary"])["symbols"] == list("abcdefg")


def test_the_first_state_of_the_file_travels(tmp_path):
    original = model(initial="file")
    export(original, tmp_path / "m.onnx")
    again = reprise.restore(tmp_path / "m.onnx")
    assert again.initial_state(3)["h"].any()
    np.testing.assert_array_equal(again.initial_state(3)["h"], original.initial_state(3)["h"])
    assert not reprise.restore(tmp_path / "m.onnx", zero_state=True).initial_state(3)["h"].any()


def test_a_built_in_setting_cannot_be_changed(tmp_path):
    export(model(settings=(KEEP,)), tmp_path / "m.onnx")
    again = reprise.restore(tmp_path / "m.onnx")
    again.run(np.array([[1]]), settings={"keep": 1.0})
    with pytest.raises(CallError, match=r"setting 'keep' is 1\.0 in .*m\.onnx and cannot be 0\.5: it was built in"):
        again.run(np.array([[1]]), settings={"keep": 0.5})


def test_what_does_not_compute_the_same_is_not_kept(tmp_path, monkeypatch):
    place = tmp_path / "m.onnx"
    place.write_bytes(b"what was there")
    other = model(drop_state=True).lifted
    real = onnx_file.as_onnx_file
    monkeypatch.setattr(onnx_file, "as_onnx_file", lambda lifted, *rest: real(other, *rest))
    with pytest.raises(VerificationError, match="the models differ first at step 1 from random state"):
        export(model(seed=0, changed=None), place, steps=1)
    assert place.read_bytes() == b"what was there"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_folder_gets_a_file_with_the_name_of_the_format(tmp_path):
    export(model(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SaveError, match=r"m\.onnx: cannot be written \(No such file or directory\)"):
        export(model(), tmp_path / "no" / "m.onnx")


def test_an_unknown_target_is_an_error(tmp_path):
    with pytest.raises(CallError, match=r"to='keras3': no such export; there are: onnx, "):
        export(model(), tmp_path / "m", to="keras3")


def test_weights_beyond_two_gigabytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("reprise.export.onnx"), "LARGEST", 100)
    with pytest.raises(SaveError, match="GB of weights do not fit into one ONNX file"):
        export(model(), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_of_symbols_without_a_vocabulary_is_written_with_a_warning(tmp_path, capsys):
    nameless = model()
    nameless.vocabulary = None
    with pytest.warns(UserWarning, match=r"has no vocabulary, so what is written will not say which symbols its ids"):
        export(nameless, tmp_path / "m.onnx")
    execute(["export", str(tmp_path / "m.onnx"), str(tmp_path / "again.onnx")])
    assert capsys.readouterr().err.startswith(
        "note: the model has no vocabulary, so what is written will not say which"
    )
