import pytest

from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export import export, keras
from tests.export import models, stacks


@pytest.mark.parametrize(
    ("kind", "reset_after", "entrance"),
    [("LSTM", False, "embedding"), ("GRU", False, "one-hot"), ("GRU", True, "features"), ("RNN", False, "embedding")],
)
def test_keras_computes_the_same(kind, reset_after, entrance, tmp_path):
    report = export(stacks.model(kind, entrance, reset_after=reset_after), tmp_path, to="keras", steps=3)
    assert report.equal
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_gates_in_another_order_are_not_kept(tmp_path, monkeypatch):
    stacks.wrong_order(monkeypatch, keras)
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(stacks.model(layers=1), tmp_path, to="keras", steps=1)
    assert not list(tmp_path.iterdir())


def test_activations_that_keras_does_not_have_are_refused(tmp_path):
    with pytest.raises(SaveError, match="an LSTM with relu and tanh is not one that Keras has"):
        export(stacks.model(activations=("Sigmoid", "Relu", "Tanh")), tmp_path, to="keras")


def test_a_state_that_starts_from_values_of_its_own_is_refused(tmp_path):
    with pytest.raises(SaveError, match="state 'h' starts from values of its own, which a Keras file cannot"):
        export(models.model(initial="file"), tmp_path, to="keras")
    assert not list(tmp_path.iterdir())


def test_without_keras_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(MissingDependency, match=r"keras is not installed, .* -m pip install .*\[tensorflow\]"):
        export(stacks.model(), tmp_path, to="keras")
