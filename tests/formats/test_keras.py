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
    with pytest.raises(LiftError, match="custom: 'Strange' is no layer that Reprise knows; it is for 'odd'"):
        package.restore(path, custom={"Odd": "Strange"})
