import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from reprise.cli.run import read, write
from reprise.errors import CallError, DamagedFile, MissingFile
from tests.sampling.fakes import LETTERS, model

IDS = LETTERS.encode("a bad cab")[None]


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Every path is the same small model, which starts from zeros."""
    fake = model()
    run, step = fake.run, fake.step
    fake.run = lambda inputs, state: run(inputs, fake.initial_state())
    fake.step = lambda inputs, state: step(inputs, fake.initial_state())
    monkeypatch.setattr("reprise.cli.run.restored", lambda **options: fake)
    return fake


def test_arrays_go_in_and_come_out_by_name(reprise, tmp_path, restored):
    np.savez(tmp_path / "in.npz", x=IDS)
    assert reprise("run", "m", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz").code == 0
    (expected, _) = restored.run({"x": IDS}, None)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["y"], expected["y"])


def test_one_step(reprise, tmp_path, restored):
    np.savez(tmp_path / "in.npz", x=IDS[:, 0])
    reprise("run", "m", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz", "--step")
    assert read(tmp_path / "out.npz")["y"].shape == (1, 9)


def test_written_arrays_come_back(tmp_path):
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array(3, np.int64), "d": np.asfortranarray(np.eye(3, 2))}
    write(tmp_path / "x.npz", arrays)
    back = read(tmp_path / "x.npz")
    assert back.keys() == arrays.keys()
    assert all((back[name] == arrays[name]).all() and back[name].dtype == arrays[name].dtype for name in arrays)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_the_output_must_be_named_npz():
    with pytest.raises(CallError, match=r"--outputs: expected a name that ends in \.npz, found 'out\.npy'"):
        write(Path("out.npy"), {})


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFile, match=r"in\.npz: no such file; expected an \.npz file with the inputs"):
        read(tmp_path / "in.npz")


def test_objects_are_never_built(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.array([{}], object))
    with pytest.raises(DamagedFile, match=r"expected an \.npz file with plain arrays, found another \(.*allow_pickle"):
        read(tmp_path / "in.npz")


def test_a_file_cannot_demand_more_memory_than_it_has_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive, archive.open("x.npy", "w") as file:
        npy.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**50, 2**20)})
    with pytest.raises(DamagedFile, match=r"x\.npy says 9444732965739290427392 bytes and has 128"):
        read(tmp_path / "in.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"text\n" * 50])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    (tmp_path / "in.npz").write_bytes(data)
    with pytest.raises(DamagedFile, match=r"in\.npz: expected an \.npz file"):
        read(tmp_path / "in.npz")
