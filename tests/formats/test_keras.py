"""The laws of a format, for the two of Keras."""

import pytest

pytest.importorskip("keras", reason="Keras makes the models")

from tests.formats.contract import FormatContract
from tests.keras import models


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
