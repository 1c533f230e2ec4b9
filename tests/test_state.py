"""States as values: immutable, exchangeable by name, kept in files, refused by models that they do not belong to."""

import copy
import json
import pickle

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reprise.errors import MissingFile, SaveError, StateError
from reprise.state import State, _checksum
from reprise.tensors import DTYPES


def state(**others):
    return State({"layer0.c": np.zeros((2, 3), np.float32), "layer0.h": np.ones((2, 3), np.float32), **others}, "abc")


def test_a_state_cannot_be_changed():
    given = np.zeros((2, 3))
    kept = State({"h": given})
    with pytest.raises(ValueError, match="read-only"):
        kept["h"][0, 0] = 1
    assert given.flags.writeable
    both = [kept, kept.replace({"h": given})]
    given[...] = 1
    assert not any(one["h"].any() for one in both)


def test_replace_gives_another_state_of_the_same_model():
    changed = state().replace({"layer0.h": np.full((2, 3), 5)})
    assert (changed["layer0.h"] == 5).all()
    assert changed["layer0.h"].dtype == np.float32
    assert (changed.fingerprint, list(changed)) == ("abc", ["layer0.c", "layer0.h"])


def test_replace_checks_names_and_shapes():
    with pytest.raises(StateError, match=r"state 'layer1\.h' is not one of layer0\.c, layer0\.h"):
        state().replace({"layer1.h": np.zeros((2, 3))})
    with pytest.raises(StateError, match=r"state 'layer0\.h': expected shape \(2, 3\), found \(3, 2\)"):
        state().replace({"layer0.h": np.zeros((3, 2))})


NUMBERS = arrays.arrays(st.sampled_from(["float32", "float64", "int32", "bool"]), arrays.array_shapes(min_side=0))


@given(st.dictionaries(st.sampled_from(["layer0.c", "layer0.h", "layer10.h", "layer2.h"]), NUMBERS, min_size=1))
def test_a_file_holds_every_bit_and_the_order(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("state") / "s.safetensors"
    State(values, "abc").save(path)
    loaded = State.load(path, finite=False)
    assert (list(loaded), loaded.fingerprint) == (list(values), "abc")
    for name, array in values.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()


def test_what_is_no_state_file_is_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    with pytest.raises(MissingFile, match="no such state file"):
        State.load(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(StateError, match="not a state file"):
        State.load(path)
    for about in ("null", '{"order": 5}', "[]", "{"):
        safetensors.numpy.save_file({"layer0.h": np.zeros(3)}, path, {"reprise": about})
        with pytest.raises(StateError, match=r"not a state file .* expected one that `State\.save` wrote"):
            State.load(path)


def test_another_layout_is_named(tmp_path):
    safetensors.numpy.save_file({"h": np.zeros(3)}, tmp_path / "s", {"reprise": '{"version": 9, "order": ["h"]}'})
    with pytest.raises(StateError, match="a state file of layout 9, and this program reads 2; save the state again"):
        State.load(tmp_path / "s")


@pytest.mark.parametrize("part", ["the header", "the numbers"])
def test_no_bit_of_a_file_can_change_unseen(tmp_path, part):
    path = tmp_path / "s.safetensors"
    state().save(path)
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    places = range(8, 8 + size, 7) if part == "the header" else range(8 + size, len(whole))
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            State.load(path)
        except StateError:
            continue
        assert json.loads(whole[8 : 8 + size]) == json.loads(changed[8 : 8 + size])  # a space became another


@pytest.mark.parametrize(
    "about",
    [
        {"pending": 3}, {"pending": ["other"], "order": None}, {"dtypes": ["float32"]}, {"dtypes": ["float64"] * 2},
        {"order": ["layer0.c", "other"]}, {"dtypes": ["string"] * 2},
    ],
)  # fmt: skip
def test_a_file_whose_words_do_not_fit_its_arrays_is_refused(tmp_path, about):
    arrays = {"layer0.c": np.zeros((2, 3), np.float32), "layer0.h": np.zeros((2, 3), np.float32)}
    plain = {
        "version": 2,
        "fingerprint": "abc",
        "order": list(arrays),
        "dtypes": ["float32"] * 2,
        "pending": [],
    } | about
    metadata = {"reprise": json.dumps(plain | {"crc32c": _checksum(plain, arrays)})}
    safetensors.numpy.save_file(arrays, tmp_path / "s", metadata)
    with pytest.raises(StateError, match="the state file contradicts itself"):
        State.load(tmp_path / "s")


def test_numbers_that_are_none_are_refused_unless_they_are_wanted(tmp_path):
    state().replace({"layer0.h": np.full((2, 3), np.nan)}).save(tmp_path / "s")
    with pytest.raises(StateError, match=r"state 'layer0\.h' has NaN or infinite numbers"):
        State.load(tmp_path / "s")
    assert np.isnan(State.load(tmp_path / "s", finite=False)["layer0.h"]).all()


def test_scalars_and_half_precision_come_back_as_they_were(tmp_path):
    kept = State({"t": np.float32(3), "h": np.array([1.5, -2], DTYPES["bfloat16"])}, "abc")
    kept.save(tmp_path / "s")
    loaded = State.load(tmp_path / "s")
    assert (loaded["t"].shape, loaded["h"].dtype) == ((), DTYPES["bfloat16"])
    assert loaded["h"].tolist() == [1.5, -2]


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    with pytest.raises(SaveError, match=r"no/s\.safetensors: cannot be written \(No such file or directory\)"):
        state().save(tmp_path / "no" / "s.safetensors")


def test_the_owner_is_asked_for_its_fingerprint_only_when_it_matters():
    asked = []
    owned = State({"h": np.zeros(3)}, lambda: asked.append(1) or "abc")
    changed = owned.replace({"h": np.ones(3)})
    assert not asked
    assert changed.fingerprint == "abc"


def test_a_state_is_pickled_copied_and_sent_as_bytes():
    state = State({"h": np.arange(6, dtype=np.float32).reshape(2, 3)}, lambda: "of a model", ["h"])
    for other in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state), State.from_bytes(state.to_bytes())):
        assert (list(other), other.fingerprint, other.pending) == (["h"], "of a model", {"h"})
        np.testing.assert_array_equal(other["h"], state["h"])
    with pytest.raises(StateError, match="state: not a state file"):
        State.from_bytes(b"no state")
