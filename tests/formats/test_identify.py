"""Which format a path is, and what is said of one that is none."""

import os
import zipfile

import numpy as np
import pytest

from reprise import formats
from reprise.errors import AmbiguousFormat, MissingFile, UnknownFormat
from reprise.formats import FORMATS, Format


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file, as Keras saves in .h5"),
        (b"\x80\x04K\x01.", "a pickle"),
        (bytes(4) + b"TFL3" + bytes(40), "a TensorFlow Lite model"),
        (b'\x10\0\0\0\0\0\0\0{"a": 1}', "a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<html>", "HTML or XML"),
        (b"hello there", "text"),
        (b"\0\1\2\3", "of an unknown kind; it begins 00 01 02 03"),
        (b"", "an empty file"),
    ],
)
def test_a_strange_file_is_told_by_what_it_seems_to_be(tmp_path, content, words):
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(UnknownFormat, match=rf"model\.bin: seems to be {words}.*What can be read: .*checkpoint"):
        formats.identify(tmp_path / "model.bin")


@pytest.mark.parametrize(
    ("member", "words"),
    [("model.weights.h5", "a Keras 3 model"), ("archive/data.pkl", "a PyTorch file"), ("notes.md", "a zip archive")],
)
def test_an_archive_is_told_by_its_members(tmp_path, member, words):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr(member, b"content")
    with pytest.raises(UnknownFormat, match=f"seems to be {words}"):
        formats.identify(tmp_path / "model.zip")


def test_arrays_and_folders_are_told(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.zeros(3))
    with pytest.raises(UnknownFormat, match=r"an archive of NumPy arrays \(\.npz\)"):
        formats.identify(tmp_path / "weights.npz")
    with pytest.raises(UnknownFormat, match=r"seems to be a folder with weights\.npz"):
        formats.identify(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownFormat, match="seems to be an empty folder"):
        formats.identify(tmp_path / "empty")


def test_a_path_without_anything_is_missing(tmp_path):
    with pytest.raises(MissingFile, match=r"model\.ckpt: no such file or folder, and no checkpoint has this prefix"):
        formats.read(tmp_path / "model.ckpt")


def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnknownFormat, match=r"pipe: is a device or a pipe; expected a file or a folder"):
        formats.read(tmp_path / "pipe", format="ONNX")


def test_exactly_one_format_claims_each_model(saved):
    for path in saved[0].glob("*/model.ckpt*"):
        assert [f.name for f in FORMATS if f.sniff(path)] == ["TensorFlow checkpoint"], path


def test_two_claims_are_an_error(saved, monkeypatch):
    other = Format("other", "", lambda path: "it says so", lambda path: None)
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, other))
    with pytest.raises(
        AmbiguousFormat, match=r"may be 2 things \(TensorFlow checkpoint, for .*; other, for it says so\)"
    ):
        formats.identify(saved[0] / "v2")
