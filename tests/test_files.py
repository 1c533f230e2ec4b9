import pytest

from reprise.errors import SaveError
from reprise.files import folder_written_whole


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
