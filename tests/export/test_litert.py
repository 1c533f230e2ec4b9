"""LiteRT files, run by the interpreter as a phone runs them."""

import numpy as np
import pytest

import reprise
from reprise.errors import SaveError, VerificationError
from reprise.export import export
from reprise.export.tf_graph import recurrent
from tests.export import stacks
from tests.export.models import model
from tests.export.stacks import H

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.*")


@pytest.mark.parametrize(("kind", "after"), stacks.KINDS)
def test_every_kind_of_layer_is_stepped_by_the_interpreter(tmp_path, kind, after):
    assert export(stacks.model(kind, reset_after=after), tmp_path / "m.tflite", to="litert", steps=4).equal


@pytest.mark.parametrize("entrance", ["one-hot", "features"])
def test_every_entrance_is_written(tmp_path, entrance):
    assert export(stacks.model("LSTM", entrance), tmp_path / "m.tflite", to="litert", steps=4).equal


def test_a_run_of_the_trainer_is_written(tmp_path):
    (tmp_path / "text.txt").write_text("how much wood would a woodchuck chuck\n" * 30)
    shape = {"rnn_size": 8, "embedding_size": 4, "seq_length": 10, "batch_size": 2, "max_steps": 1, "show": False}
    reprise.train(tmp_path / "text.txt", out=tmp_path / "run", **shape)
    assert export(reprise.restore(tmp_path / "run"), tmp_path / "m.tflite", to="litert", steps=4).equal


def test_signatures_are_named_and_operators_are_built_in(tmp_path):
    original = model(initial="file")
    export(original, tmp_path / "m.tflite", to="litert", steps=3)
    interpreter = tf.lite.Interpreter(model_path=str(tmp_path / "m.tflite"))
    listed = interpreter.get_signature_list()
    assert sorted(listed) == ["initial_state", "step"]
    assert sorted(listed["step"]["inputs"]) == ["h", "ids"]
    first = interpreter.get_signature_runner("initial_state")(batch=np.int32(3))["h"]
    np.testing.assert_array_equal(first, original.initial_state(3)["h"])
    step = interpreter.get_signature_runner("step")
    found = step(ids=np.array([1, 2, 3], np.int32), h=np.full((3, 5), 0.5, np.float32))
    state = original.initial_state(3).replace({"h": np.full((3, 5), 0.5)})
    wanted, _ = original.step(np.array([1, 2, 3], np.int32), state)
    np.testing.assert_allclose(found["logits"], wanted["logits"], rtol=1e-5, atol=1e-6)


def with_parts(monkeypatch, change):
    """Exchanges the gates that an LSTM is written with."""

    def exchanged(site, index, r, bias):
        step = own(site, index, r, bias)
        return lambda part, states: step(change(part), states)

    own = recurrent._lstm
    monkeypatch.setitem(recurrent._STEPS, "LSTM", exchanged)


def test_a_wrong_order_of_gates_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    with_parts(monkeypatch, lambda x: tf.concat([x[:, H:], x[:, :H]], 1))
    with pytest.raises(VerificationError, match="the models differ first at step 1"):
        export(stacks.model(), tmp_path / "m.tflite", to="litert", steps=3)
    assert not (tmp_path / "m.tflite").exists()


def test_an_operator_that_litert_lacks_is_named(tmp_path, monkeypatch):
    with_parts(monkeypatch, lambda x: tf.roll(x, 1, 1))
    with pytest.raises(SaveError, match=r"LiteRT cannot express this model: it has no operator of its own for Roll$"):
        export(stacks.model(), tmp_path / "m.tflite", to="litert", steps=3)
    assert not (tmp_path / "m.tflite").exists()


def test_what_cannot_be_stepped_is_refused(tmp_path):
    with pytest.raises(SaveError, match="a LiteRT file of Reprise holds single steps, and the model cannot be stepped"):
        export(model(steppable=False), tmp_path / "m.tflite", to="litert")
