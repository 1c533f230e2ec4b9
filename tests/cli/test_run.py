import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from reprise.cli._arrays import read, write
from reprise.errors import DamagedFile, MissingFile, SaveError
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


def test_the_output_must_be_named_npz(reprise):
    words = "--outputs: expected a name that ends in .npz, found 'out.npy'"
    assert words in reprise("run", "m", "--inputs", "in.npz", "--outputs", "out.npy").err


def test_what_cannot_be_written_is_called_by_its_name(tmp_path):
    with pytest.raises(SaveError, match=r"no/out\.npz: cannot be written \(No such file or directory\)"):
        write(tmp_path / "no" / "out.npz", {})
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(SaveError, match=r"folder\.npz: expected the name of a file to write, found a folder"):
        write(tmp_path / "folder.npz", {})
    assert [p.name for p in tmp_path.iterdir()] == ["folder.npz"]


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFile, match=r"in\.npz: no such file; expected an \.npz file with the inputs"):
        read(tmp_path / "in.npz")


def test_objects_are_never_built(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.array([{}], object))
    with pytest.raises(DamagedFile, match=r"with plain arrays, found another \(x\.npy: its elements are objects"):
        read(tmp_path / "in.npz")


def test_a_file_cannot_demand_more_memory_than_it_has_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive, archive.open("x.npy", "w") as file:
        npy.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**50, 2**20)})
    with pytest.raises(DamagedFile, match=r"x\.npy says 9444732965739290427392 bytes and has 0"):
        read(tmp_path / "in.npz")


def _damaged(archive):
    archive[60:62] = b"\xff\xff"


def _encrypted(archive):
    archive[6] |= 1
    archive[archive.find(b"PK\x01\x02") + 8] |= 1


@pytest.mark.parametrize(("spoil", "words"), [(_damaged, "decompressing"), (_encrypted, "encrypted")])
def test_a_damaged_or_encrypted_archive_is_refused(tmp_path, spoil, words):
    np.savez_compressed(tmp_path / "in.npz", x=np.zeros((30, 300)))
    archive = bytearray((tmp_path / "in.npz").read_bytes())
    spoil(archive)
    (tmp_path / "in.npz").write_bytes(archive)
    with pytest.raises(DamagedFile, match=rf"in\.npz: expected an \.npz file with plain arrays, .*{words}"):
        read(tmp_path / "in.npz")


def test_the_head_of_an_array_that_is_no_expression_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("x.npy", npy.magic(1, 0) + b"\x0e\x00" + b"{'descr': (((\n")
    with pytest.raises(DamagedFile, match=r"in\.npz: expected an \.npz file with plain arrays"):
        read(tmp_path / "in.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"text\n" * 50])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    (tmp_path / "in.npz").write_bytes(data)
    with pytest.raises(DamagedFile, match=r"in\.npz: expected an \.npz file"):
        read(tmp_path / "in.npz")
