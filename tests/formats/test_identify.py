"""Which format a path is, and what is said of one that is none."""

import os
import re
import shutil
import zipfile

import numpy as np
import pytest

import reprise
from reprise import formats
from reprise.errors import AmbiguousFormat, DamagedFile, MissingFile, UnknownFormat
from reprise.formats import FORMATS, Format
from tests.formats.contract import contracts

NO_WAY = ". What can be read: "

#: What may lie at the path of a model, and what is said of it.
STRANGERS = {
    "pickle": (b"\x80\x04K\x01.", "a pickle, as PyTorch and scikit-learn save" + NO_WAY),
    "safetensors": (b'\x10\0\0\0\0\0\0\0{"a": 1}', "a safetensors file, which holds weights only" + NO_WAY),
    "text": (b"hello there", "text. Name the file or folder of a saved model."),
    "bytes": (b"\0\1\2\3", "of an unknown kind; it begins 00 01 02 03. Name the file or folder"),
    "events": (bytes(12) + b"\x1a\x0dbrain.Event:2", "a log for TensorBoard. Name the checkpoint"),
}

#: What lies where a file should be, and what to do.
INSTEAD = {
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "a Git LFS pointer, not the file itself. Run `git lfs pull`",
    ),
    "html": (b"\n<!DOCTYPE html><html>", "HTML or XML, perhaps an error page saved by a download. Download the file"),
    "nothing": (b"", "an empty file. Copy or download it again."),
    "gzip": (b"\x1f\x8b\x08", "a gzip archive. Unpack it with `tar xf` or `gunzip`, and name what is inside."),
    "tar": (b"m/".ljust(257, b"\0") + b"ustar\0", "a tar archive. Unpack it with `tar xf`, and name what is inside."),
}


@pytest.mark.parametrize(("content", "words"), [*STRANGERS.values(), *INSTEAD.values()], ids=[*STRANGERS, *INSTEAD])
def test_a_strange_file_is_told_by_what_it_seems_to_be_with_what_to_do(tmp_path, content, words):
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(UnknownFormat, match=re.escape(f"model.bin: seems to be {words}")):
        formats.identify(tmp_path / "model.bin")


@pytest.mark.parametrize(("content", "words"), INSTEAD.values(), ids=INSTEAD)
@pytest.mark.parametrize("part", ["index", "data-00000-of-00001", "meta"])
def test_what_lies_in_the_place_of_a_part_is_named(saved, tmp_path, part, content, words):
    shutil.copytree(saved[0] / "v2", tmp_path / "v2")
    (tmp_path / "v2" / f"model.ckpt-300.{part}").write_bytes(content)
    for path in (tmp_path / "v2", tmp_path / "v2" / "model.ckpt-300"):
        with pytest.raises(DamagedFile, match=re.escape(f"{part}: is {words}")):
            formats.read(path)


def test_a_saved_model_whose_parts_are_pointers_is_named(tmp_path):
    (tmp_path / "variables").mkdir()
    for part in ("saved_model.pb", "variables/variables.index"):
        (tmp_path / part).write_bytes(INSTEAD["lfs"][0])
    with pytest.raises(DamagedFile, match=r"saved_model\.pb: is a Git LFS pointer"):
        formats.read(tmp_path)


def test_an_archive_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("notes.md", b"content")
    with pytest.raises(UnknownFormat, match="seems to be a zip archive"):
        formats.identify(tmp_path / "model.zip")


def test_folders_are_told(tmp_path):
    (tmp_path / "notes.md").write_text("about a model")
    with pytest.raises(UnknownFormat, match=r"seems to be a folder with notes\.md"):
        formats.identify(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnknownFormat, match="seems to be an empty folder"):
        formats.identify(tmp_path / "empty")


def test_a_folder_one_too_high_names_those_inside(saved):
    with pytest.raises(
        UnknownFormat, match=r"a folder with \d+ models in it; name one of them: \S+/renamed, \S+/sharded, "
    ):
        formats.identify(saved[0])


def test_a_folder_of_files_names_those_that_are_models(tmp_path):
    (tmp_path / "notes.md").write_text("about a model")
    np.savez(tmp_path / "a.npz", Wxh=np.zeros((2, 3)))
    with pytest.raises(UnknownFormat, match=rf"is a folder with a model in it; name that: {tmp_path}/a\.npz\.$"):
        formats.identify(tmp_path)
    for i in range(16):
        (tmp_path / f"b{i}.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    with pytest.raises(UnknownFormat, match=rf"17 models in it; name one of them: {tmp_path}/a\.npz, .* and 1 more\.$"):
        formats.identify(tmp_path)


def test_a_path_without_anything_is_missing(tmp_path):
    with pytest.raises(MissingFile, match=r"model\.ckpt: no such file or folder, and no checkpoint has this prefix\.$"):
        formats.read(tmp_path / "model.ckpt")
    with pytest.raises(MissingFile, match=rf"this prefix\. There is no {tmp_path}/gone\.$"):
        formats.read(tmp_path / "gone" / "model.ckpt")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("model.ckpt", "model.ckpt-40, model.ckpt-9"),
        ("modle.ckpt-9", "model.ckpt-9, model.ckpt-40"),
        ("Frozen.pb", "frozen.pb"),
    ],
)
def test_a_path_without_anything_is_told_what_is_there(tmp_path, wanted, found):
    for name in ("model.ckpt-9.index", "model.ckpt-40.index", "model.ckpt-40.data-00000-of-00001", "frozen.pb", "x"):
        (tmp_path / name).touch()
    with pytest.raises(MissingFile, match=rf"{wanted}: no such .* The nearest in {tmp_path}: {found}\.$"):
        formats.read(tmp_path / wanted)


def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnknownFormat, match=r"pipe: is a device or a pipe; expected a file or a folder"):
        formats.read(tmp_path / "pipe", format="ONNX")


def test_every_format_keeps_the_contract():
    assert set(contracts()) == {f.name for f in FORMATS}


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


@pytest.mark.parametrize("name", ["x" * 5000, "y" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_missing(name):
    with pytest.raises(MissingFile, match=r"…: no such file or folder, and none can have such a name"):
        reprise.restore(name)
