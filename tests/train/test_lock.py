import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reprise.errors import CallError, SaveError
from reprise.train import checkpoints, lock
from tests.train.small import resumed, trained

HOLDER = """
import pathlib, sys, time
from reprise.train.lock import locked_folder
with locked_folder(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A living process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_a_living_process_holds_its_folder_and_a_killed_one_does_not(holder, tmp_path):
    with pytest.raises(CallError, match=rf"another trainer works in this folder \(process {holder.pid} on "):
        lock.locked_folder(tmp_path).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock.locked_folder(tmp_path):
        pass


def test_what_a_killed_trainer_left_unfinished_is_removed_and_what_a_living_one_writes_is_not(holder, tmp_path):
    (tmp_path / ".writing-loss.png").write_bytes(b"half a picture")
    (tmp_path / ".corpus-x1").mkdir()
    (tmp_path / ".corpus-x1/corpus.ids").write_bytes(b"half a corpus")
    (tmp_path / ".mine").write_text("not ours")
    with pytest.raises(CallError):
        lock.locked_folder(tmp_path).__enter__()
    assert len(list(tmp_path.iterdir())) == 4
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock.locked_folder(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".mine"}


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path):
    (tmp_path / "text").write_text("a file")
    for place in (tmp_path / "text", tmp_path / "text/run"):
        with pytest.raises(SaveError, match=rf"{place}: no folder can be made there .*give another --out"):
            lock.existing_folder(place).__enter__()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / lock.LOCK).mkdir()  # which root cannot write to either
    with pytest.raises(SaveError, match=rf"{tmp_path}: nothing can be written in this folder .*copy its folder first"):
        lock.locked_folder(tmp_path).__enter__()


def test_a_lock_that_was_removed_before_it_was_taken_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", lambda file, _: Path(file.name).unlink())
    with pytest.raises(CallError, match=r"another trainer works in this folder \(it has just begun\)"):
        lock.locked_folder(tmp_path).__enter__()


def test_a_file_system_without_locks_is_told_of_and_used(tmp_path, monkeypatch, capsys):
    def without(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", without)
    with lock.locked_folder(tmp_path):
        said = capsys.readouterr().err
    assert f"{tmp_path}/.lock: this file system has no locks (No locks available). Nothing keeps a second" in said


def test_without_locks_training_is_refused_in_words():
    program = "import sys; sys.modules['fcntl'] = None; import reprise.train.lock"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "MissingDependency: training needs Linux or macOS" in done.stderr


def test_a_folder_in_which_a_trainer_works_is_neither_resumed_nor_begun_anew(tmp_path):
    trained(tmp_path)
    before = checkpoints.complete(tmp_path / "run")
    with lock.locked_folder(tmp_path / "run"):
        for begin in (trained, resumed):
            with pytest.raises(CallError, match="another trainer works in this folder"):
                begin(tmp_path, max_steps=9)
    assert checkpoints.complete(tmp_path / "run") == before
    resumed(tmp_path, max_steps=9)


@pytest.mark.parametrize("moment", ["_locked", "_clear"])
def test_an_interrupt_while_the_folder_is_made_leaves_none(tmp_path, monkeypatch, moment):
    function = getattr(lock, moment)

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return function(*arguments)

    monkeypatch.setattr(lock, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path)
    assert not (tmp_path / "run").exists()
