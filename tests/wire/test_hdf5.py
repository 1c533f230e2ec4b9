"""HDF5 files are groups and tensors; those that name themselves, or state more than they hold, are damage."""

import numpy as np
import pytest

from reprise.errors import DamagedFile
from reprise.wire import hdf5

h5py = pytest.importorskip("h5py", reason="h5py writes the files")


def written(path, write):
    with h5py.File(path, "w") as file:
        write(file)
    return hdf5.read(hdf5.mapped(path), str(path))


VALUES = np.arange(24, dtype=np.float32).reshape(4, 6)
FORMS = {
    "in one piece": {},
    "chunks": {"chunks": (3, 4)},
    "compressed": {"chunks": (3, 4), "compression": "gzip", "shuffle": True},
    "with sums": {"chunks": (4, 6), "fletcher32": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_data_set_is_read_as_it_was_written(form, tmp_path):
    group = written(tmp_path / "a.h5", lambda f: f.create_dataset("g/x", data=VALUES, **FORMS[form]))
    np.testing.assert_array_equal(group.tensor("g/x").load(), VALUES)
    assert [name for name, _ in group.every()] == ["g/x"]


def test_groups_that_hold_themselves_are_refused(tmp_path):
    def write(file):
        file.create_group("a")["b"] = file["/"]

    with pytest.raises(DamagedFile, match=r"a\.h5: cannot be read as HDF5 .*groups nested more than 32 deep"):
        written(tmp_path / "a.h5", write)


def test_a_data_set_that_states_far_more_than_the_file_holds_is_refused(tmp_path):
    def write(file):
        file.create_dataset("x", (1 << 20, 1 << 12), "f4", chunks=(1 << 10, 1 << 10))

    with pytest.raises(DamagedFile, match=r"17179869184 bytes are stated in a file of \d+"):
        written(tmp_path / "a.h5", write).tensor("x").load()


def test_a_file_that_is_cut_is_refused(tmp_path):
    written(tmp_path / "a.h5", lambda f: f.create_dataset("x", data=VALUES))
    content = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(DamagedFile, match=r"cut: cannot be read as HDF5 .* It is cut or changed; copy it again"):
        hdf5.read(memoryview(content[:200]), "cut")
