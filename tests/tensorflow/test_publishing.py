from pathlib import Path

import pytest

from reprise.errors import SaveError
from reprise.tensorflow.publishing import publication

ENDINGS = ("data-00000-of-00001", "index", "meta")


def write(part, text):
    for ending in ENDINGS:
        part.with_name(f"{part.name}.{ending}").write_text(text)


def content(folder):
    return {f.name: f.read_text() for f in folder.iterdir()}


def published(folder, text):
    with publication(folder / "m.ckpt") as part:
        write(part, text)
    return content(folder)


def test_files_appear_when_all_are_written(tmp_path):
    with publication(tmp_path / "runs" / "m.ckpt") as part:
        write(part, "new")
        assert not list((tmp_path / "runs").glob("m.ckpt*"))
    assert set(content(tmp_path / "runs")) == {"checkpoint", *(f"m.ckpt.{ending}" for ending in ENDINGS)}


def test_an_exception_leaves_what_was_there(tmp_path):
    before = published(tmp_path, "old")
    with pytest.raises(TypeError), publication(tmp_path / "m.ckpt") as part:
        write(part, text=0)
    assert content(tmp_path) == before


@pytest.mark.parametrize("failing", range(6))
def test_a_rename_that_fails_puts_back_what_was_there(tmp_path, monkeypatch, failing):
    before = published(tmp_path, "old")
    rename, left = Path.replace, [failing]

    def replace(self, target):
        left[0] -= 1
        if left[0] == -1:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(SaveError, match=r"No space left on device\). What was there is untouched"):
        published(tmp_path, "new")
    assert content(tmp_path) == before


@pytest.mark.parametrize("moved", range(4))
def test_what_a_kill_left_aside_is_put_back(tmp_path, moved):
    """A kill between the renames: some old files aside, and of the new ones nothing or a part in their place."""
    before = published(tmp_path, "old")
    aside = tmp_path / ".writing-m.ckpt" / "before"
    aside.mkdir(parents=True)
    for ending in ENDINGS[:moved]:
        (tmp_path / f"m.ckpt.{ending}").rename(aside / f"m.ckpt.{ending}")
    if moved == len(ENDINGS):
        (tmp_path / f"m.ckpt.{ENDINGS[0]}").write_text("new")
    with pytest.raises(ZeroDivisionError), publication(tmp_path / "m.ckpt"):
        _ = 1 // 0
    assert content(tmp_path) == before


def test_checkpoints_with_longer_names_are_left_alone(tmp_path):
    (tmp_path / "m.ckpt-10.index").write_text("other")
    published(tmp_path, "old")
    assert published(tmp_path, "new")["m.ckpt-10.index"] == "other"


def test_the_list_drops_checkpoints_that_are_gone(tmp_path):
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "/elsewhere/m-2"\nall_model_checkpoint_paths: "/elsewhere/m-1"\n'
        'all_model_checkpoint_paths: "/elsewhere/m-2"\n'
    )
    (tmp_path / "m-2.index").write_text("")
    listed = published(tmp_path, "new")["checkpoint"].splitlines()
    assert listed == [
        'model_checkpoint_path: "m.ckpt"',
        'all_model_checkpoint_paths: "m-2"',
        'all_model_checkpoint_paths: "m.ckpt"',
    ]
