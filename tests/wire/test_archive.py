"""Members of zip archives are bounded before they are unpacked, and damage is told with the name of the member."""

import zipfile

import pytest

from reprise.errors import DamagedFile, MissingFile
from reprise.wire import archive


def written(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_members_are_read_whole_and_told_from_the_directory(tmp_path):
    path = written(tmp_path / "a.zip", one=b"1", two=b"22")
    assert {name: bytes(read(None)) for name, read in archive.open_members(path).items()} == {"one": b"1", "two": b"22"}
    assert archive.names(path, ("two", "three")) == {"two"}


def test_a_member_that_unpacks_to_far_more_than_the_archive_is_refused(tmp_path):
    path = written(tmp_path / "a.zip", much=bytes(10_000_000))
    with pytest.raises(DamagedFile, match=r"its member 'much' has 10000000 bytes, at most \d+ are read"):
        archive.open_members(path)["much"](None)


def test_a_member_of_more_than_the_reader_takes_is_refused(tmp_path):
    path = written(tmp_path / "a.zip", text=b"12345")
    with pytest.raises(DamagedFile, match="its member 'text' has 5 bytes, at most 4 are read"):
        archive.open_members(path)["text"](4)


def test_a_member_that_is_changed_is_told_by_name(tmp_path):
    path = written(tmp_path / "a.zip", text=b"abc")
    content = path.read_bytes()
    place = content.index(b"text") + len("text")
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(DamagedFile, match="its member 'text' cannot be read"):
        archive.open_members(path)["text"](None)


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = written(tmp_path / "a.zip", one=b"1", two=b"2")
    path.write_bytes(path.read_bytes().replace(b"two", b"one"))
    with pytest.raises(DamagedFile, match="has 2 members, or one twice"):
        archive.open_members(path)


def test_an_archive_that_is_cut_or_absent_is_told(tmp_path):
    path = written(tmp_path / "a.zip", one=b"1")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedFile, match=r"is not a complete zip archive .* It is cut or changed; copy it again"):
        archive.open_members(path)
    with pytest.raises(MissingFile, match="cannot be read"):
        archive.open_members(tmp_path / "b.zip")
