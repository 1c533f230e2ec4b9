"""States as values: immutable, exchangeable by name, kept in files, refused by models that they do not belong to."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reprise.errors import MissingFile, SaveError, StateError
from reprise.state import State


def state(**others):
    return State({"layer0.c": np.zeros((2, 3), np.float32), "layer0.h": np.ones((2, 3), np.float32), **others}, "abc")


def test_a_state_cannot_be_changed():
    given = np.zeros((2, 3))
    kept = State({"h": given})
    with pytest.raises(ValueError, match="read-only"):
        kept["h"][0, 0] = 1
    assert given.flags.writeable


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
    loaded = State.load(path)
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
    for about in ("null", '{"order": 5}', '{"order": ["layer0.c"]}'):
        safetensors.numpy.save_file({"layer0.h": np.zeros(3)}, path, {"reprise": about})
        with pytest.raises(StateError, match=r"a safetensors file, but not one of `State\.save`"):
            State.load(path)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    with pytest.raises(SaveError, match=r"no/s\.safetensors: cannot be written \(No such file or directory\)"):
        state().save(tmp_path / "no" / "s.safetensors")


def test_the_owner_is_asked_for_its_fingerprint_only_when_it_matters():
    asked = []
    owned = State({"h": np.zeros(3)}, lambda: asked.append(1) or "abc")
    changed = owned.replace({"h": np.ones(3)})
    assert not asked
    assert changed.fingerprint == "abc"
