import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import reprise
from reprise import stack
from reprise.errors import DamagedFile, VerificationError
from reprise.export import export
from reprise.verify import compare
from tests.export import models, stacks


@pytest.mark.parametrize("entrance", ["embedding", "one-hot", "features"])
@pytest.mark.parametrize(("kind", "reset_after"), stacks.KINDS)
def test_what_is_written_is_restored_as_the_same_model(kind, reset_after, entrance, tmp_path):
    model = stacks.model(kind, entrance, reset_after=reset_after)
    export(model, tmp_path / "m.safetensors", to="safetensors")
    again = reprise.restore(tmp_path / "m.safetensors")
    assert (again.interface, again.vocabulary) == (model.interface, model.vocabulary)
    assert compare(model, again, steps=9, batch=3).worst == 0


def test_the_first_state_of_the_file_travels(tmp_path):
    model = models.model(initial="file")
    export(model, tmp_path / "m.safetensors", to="safetensors")
    first = reprise.restore(tmp_path / "m.safetensors").initial_state(3)["h"]
    np.testing.assert_array_equal(first, model.initial_state(3)["h"])


def test_the_names_of_weights_are_those_of_their_layers(tmp_path):
    export(stacks.model(layers=1), tmp_path, to="safetensors")
    held = load_file(tmp_path / "model.safetensors")
    assert {name: array.shape for name, array in held.items()} == {
        "layers.0.table": (7, 3),
        "layers.1.kernel": (16, 3),
        "layers.1.recurrent": (16, 4),
        "layers.1.bias": (16,),
        "layers.1.recurrent_bias": (16,),
        "layers.2.kernel": (4, 7),
        "layers.2.bias": (7,),
    }


def test_gates_in_another_order_are_not_kept(tmp_path, monkeypatch):
    real = stack.to_tensors
    swapped = {name: np.s_[[*range(4, 8), *range(4), *range(8, 16)]] for name in ("layers.1.kernel", "layers.2.bias")}
    monkeypatch.setattr(stack, "to_tensors", lambda s: {n: a[swapped.get(n, np.s_[:])] for n, a in real(s).items()})
    with pytest.raises(VerificationError, match="the models differ first at step 1 from zero state"):
        export(stacks.model(), tmp_path / "m.safetensors", to="safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda facts: facts["layers"][1].update(width=5), r"expected weights of shape \[20, 3\], found \(16, 3\)"),
        (lambda facts: facts["layers"][1].update(source=9), "layer 9 is read before it exists"),
        (lambda facts: facts["layers"][1].update(gates="ifco"), "of type recurrent with gates 'ifco' is unknown"),
        (lambda facts: facts["layers"].append(7), "its layers cannot be read"),
        (lambda facts: facts["layers"][1]["parts"]["h"].update(state="no"), "no state is called 'no'"),
    ],
)
def test_layers_that_cannot_be_are_damage(change, why, tmp_path):
    place = tmp_path / "m.safetensors"
    export(stacks.model(layers=1), place, to="safetensors")
    with reprise_open(place) as file:
        metadata = file.metadata()
    facts = json.loads(metadata["reprise.stack"])
    change(facts)
    save_file(load_file(place), place, {**metadata, "reprise.stack": json.dumps(facts)})
    with pytest.raises(DamagedFile, match=why):
        reprise.restore(place)


def reprise_open(place):
    from safetensors import safe_open

    return safe_open(place, "numpy")
