"""Files that appear whole or not at all, and are files."""

import os
import subprocess
import sys
import threading
import time

import pytest

from reprise.errors import DamagedFile, SaveError
from reprise.files import Original, folder_written_whole, opened, read_whole, written_whole

WRITER = """
import sys, time
from pathlib import Path
from reprise.files import written_whole
with written_whole(Path(sys.argv[1])) as part:
    part.write_text("unfinished")
    print(part, flush=True)
    time.sleep(60)
"""


def killed_writer(place):
    """Begins to write `place` and is killed; gives the path of what it left."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, text=True) as process:
        left = process.stdout.readline().strip()
        process.kill()
    return left


def test_a_reader_beside_many_writers_sees_whole_files_alone(tmp_path):
    place, ends = tmp_path / "state", time.monotonic() + 1.5
    place.write_bytes(b"0" * 300_000)

    def write(mark):
        while time.monotonic() < ends:
            with written_whole(place) as part:
                part.write_bytes(mark * 300_000)

    writers = [threading.Thread(target=write, args=(mark,)) for mark in (b"1", b"2", b"3")]
    for writer in writers:
        writer.start()
    seen = set()
    while time.monotonic() < ends:
        data = place.read_bytes()
        seen.add((len(data), len(set(data))))
    for writer in writers:
        writer.join()
    assert seen == {(300_000, 1)}
    assert os.listdir(tmp_path) == ["state"]


def test_a_link_where_a_writer_works_is_not_followed(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.write_text("untouched")
    names = iter(["aa", "bb"])
    monkeypatch.setattr("reprise.files.secrets.token_hex", lambda _: next(names))
    (tmp_path / ".state.aa.part").symlink_to(other)
    with pytest.raises(SaveError, match=r"state: cannot be written \(File exists\)"), written_whole(tmp_path / "state"):
        pass
    assert other.read_text() == "untouched"


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    left = killed_writer(tmp_path / "state")
    assert os.path.exists(left)
    with written_whole(tmp_path / "state") as part:
        part.write_text("whole")
    assert os.listdir(tmp_path) == ["state"]


def test_what_a_living_writer_works_on_is_left_to_it(tmp_path):
    with written_whole(tmp_path / "state") as first:
        first.write_text("first")
        with written_whole(tmp_path / "state") as second:
            second.write_text("second")
        assert (tmp_path / "state").read_text() == "second"
    assert (tmp_path / "state").read_text() == "first"


def test_a_file_has_the_rights_that_the_user_gives_to_files(tmp_path):
    with written_whole(tmp_path / "state") as part:
        part.write_text("whole")
    (tmp_path / "plain").write_text("plain")
    assert (tmp_path / "state").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_pipes_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for place in (tmp_path / "pipe", tmp_path / "link", tmp_path):
        with pytest.raises(OSError, match=r"it is a folder, a device or a pipe; expected a file|Is a directory"):
            opened(place)


def test_the_size_is_looked_at_before_anything_is_read(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(
        DamagedFile, match=r"sparse: has 1099511627776 bytes, and files that are read as a whole have at most"
    ):
        read_whole(tmp_path / "sparse")


@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_a_file_that_has_changed_is_named(tmp_path, change):
    file = tmp_path / "weights"
    file.write_text("as it was")
    before = Original.of(file)
    before.check()
    if change == "written":
        os.utime(file, ns=(1, 1))
    else:
        file.rename(tmp_path / "old")
    if change == "replaced":
        file.write_text("as it was")
    with pytest.raises(DamagedFile, match="weights: has changed since the model was restored"):
        before.check()


def _fill(place, name, text, failing=False):
    with folder_written_whole(place, ["mark"]) as part:
        (part / name).write_text(text)
        if failing:
            raise KeyError


def test_a_folder_of_the_same_kind_is_replaced_whole(tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    _fill(place, "mark", "first")
    (place / "more").write_text("of the first")
    _fill(place, "mark", "second")
    assert {p.name: p.read_text() for p in place.iterdir()} == {"mark": "second"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_another_kind_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis").write_text("the only copy")
    with pytest.raises(SaveError, match=r"expected a name that is free, an empty folder, or one with mark, .* thesis"):
        _fill(tmp_path, "mark", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_folder_that_is_not_finished_leaves_what_was_there(tmp_path):
    place = tmp_path / "out"
    _fill(place, "mark", "first")
    with pytest.raises(KeyError):
        _fill(place, "mark", "second", failing=True)
    assert (place / "mark").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
