"""The laws of a format, for the two of Keras; what cannot be read, and what a caller says of it."""

import zipfile

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras makes the models")

import reprise as package  # noqa: E402 - only where Keras is there
from reprise.errors import DamagedFile, LiftError  # noqa: E402
from tests.formats.contract import FormatContract  # noqa: E402
from tests.keras import models  # noqa: E402


class TestArchive(FormatContract):
    name = "Keras archive"

    @classmethod
    def write(cls, folder):
        models.recurrent()["gru"]().save(folder / "model.keras")
        return folder / "model.keras"


class TestHdf5(FormatContract):
    name = "Keras HDF5"

    @classmethod
    def write(cls, folder):
        models.recurrent()["gru"]().save(folder / "model.h5")
        return folder / "model.h5"


def changed(folder, *, change=lambda text: text, **members):
    """A path of an archive of Dense and GRU whose configuration, or members, are others."""
    models.sequence(keras.layers.Dense(4, name="odd"), keras.layers.GRU(3)).save(folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as whole, zipfile.ZipFile(folder / "model.keras", "w") as other:
        for name in whole.namelist():
            content = members.get(name, whole.read(name))
            other.writestr(name, change(content.decode()) if name == "config.json" else content)
    return folder / "model.keras"


REFUSED = {
    "Lambda": (
        lambda text: text.replace('"class_name": "Dense"', '"class_name": "Lambda"'),
        LiftError,
        r"layer 'odd' is of the class Lambda, .* its code is not read from the file, and is never run\. Say what it is",
    ),
    "a class of one's own": (
        lambda text: text.replace('"keras.layers", "class_name": "Dense"', '"mine", "class_name": "Odd"'),
        LiftError,
        r"layer 'odd' is of the class mine\.Odd, .* custom=\{'Odd': 'Dense'\}",
    ),
    "a class that is not known": (
        lambda text: text.replace('"class_name": "Dense"', '"class_name": "Discretization"'),
        LiftError,
        "layer 'odd' is of the class Discretization, which Reprise does not know",
    ),
    "no JSON": (lambda text: text[:-20], DamagedFile, r"config\.json.* JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_that_cannot_be_followed_is_refused_by_name(name, tmp_path):
    change, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        package.restore(changed(tmp_path, change=change))


def test_weights_that_are_no_hdf5_are_refused_by_the_name_of_the_member(tmp_path):
    path = changed(tmp_path, **{"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(90)})
    with pytest.raises(DamagedFile, match=r"model\.keras, model\.weights\.h5: cannot be read as HDF5"):
        package.restore(path)


class Odd(keras.layers.Dense):
    """A layer of one's own."""


@pytest.mark.parametrize("custom", [{"Odd": "Dense"}, {"odd": {"class_name": "Dense"}}], ids=["class", "name"])
def test_a_layer_of_ones_own_is_what_the_caller_says(custom, tmp_path):
    made = models.randomised(models.sequence(Odd(4, name="odd"), keras.layers.GRU(3)))
    made.save(path := tmp_path / "model.keras")
    restored, x = package.restore(path, custom=custom), np.ones((2, 3, models.D), np.float32)
    assert restored.stored.notes[0] == "said by the caller: layer 'odd', of the class Odd, is Dense"
    np.testing.assert_allclose(*restored.run(x)[0].values(), np.asarray(made(x)), rtol=1e-4, atol=2e-5)
    with pytest.raises(LiftError, match="custom: 'Strange' is not a layer that Reprise knows; it was given for 'odd'"):
        package.restore(path, custom={"Odd": "Strange"})


def test_what_goes_into_a_layer_of_ones_own_is_given_where_the_caller_leaves_it_out(tmp_path):
    below = keras.layers.GRU(3, return_sequences=True)
    models.randomised(models.sequence(below, Odd(4, name="odd"))).save(path := tmp_path / "model.keras")
    restored, x = package.restore(path, custom={"Odd": "Identity"}), np.ones((2, 3, models.D), np.float32)
    assert restored.stored.notes == ("said by the caller: layer 'odd', of the class Odd, is Identity",)
    np.testing.assert_allclose(*restored.run(x)[0].values(), np.asarray(below(x)), rtol=1e-4, atol=2e-5)


class Mixture(keras.layers.Layer):
    """A head that keeps the weights of two dense layers."""

    def build(self, shape):
        for k, width in enumerate((3, 2)):
            self.add_weight(shape=(shape[-1], width), name=f"kernel_{k}")
            self.add_weight(shape=(width,), name=f"bias_{k}")

    def call(self, x):
        first, one, second, two = self.weights
        return keras.ops.concatenate([x @ first + one, keras.ops.elu(x @ second + two)], axis=-1)


def described(file, *widths):
    """A model of layers that Keras has, in a file, with dense layers of these widths in this order."""
    x = keras.Input((None, 3))
    made = [keras.layers.Dense(n, name=f"{i}", activation="elu" if n == 2 else None)(x) for i, n in enumerate(widths)]
    file.write_text(keras.Model(x, keras.layers.Concatenate()(made)).to_json())
    return str(file)


def test_a_head_of_ones_own_is_the_model_that_a_file_of_the_caller_describes(tmp_path):
    made = models.randomised(models.sequence(keras.layers.GRU(3, return_sequences=True), Mixture(name="head")))
    made.save(path := tmp_path / "model.h5")
    with pytest.raises(LiftError, match=r"of the class .*Mixture, .* \(--custom Mixture=FILE\.json\)"):
        package.restore(path)
    restored = package.restore(path, custom={"Mixture": described(tmp_path / "head.json", 3, 2)})
    x = np.random.default_rng(0).normal(size=(2, 5, models.D)).astype(np.float32)
    np.testing.assert_allclose(*restored.run(x)[0].values(), np.asarray(made(x)), rtol=1e-4, atol=2e-5)
    with pytest.raises(DamagedFile, match=r"expected the weights of 2 units, found those of 3; .* in another order"):
        package.restore(path, custom={"Mixture": described(tmp_path / "head.json", 2, 3)})


def test_a_file_of_the_caller_that_describes_nothing_is_refused(tmp_path):
    models.sequence(keras.layers.GRU(3), Odd(4)).save(path := tmp_path / "model.keras")
    (tmp_path / "odd.json").write_text("[1]")
    with pytest.raises(DamagedFile, match=r"odd\.json: holds no description of a model"):
        package.restore(path, custom={"Odd": str(tmp_path / "odd.json")})
