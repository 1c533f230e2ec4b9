"""Pickles of this Python as the reference; Python 2's as bytes; and pickles that would run something."""

import argparse
import collections
import contextlib
import os
import pickle as reference

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.wire import pickle
from reprise.wire.varint import Cut

keys = st.one_of(st.text(max_size=3), st.binary(max_size=3), st.integers(), st.none(), st.booleans())
plain = st.recursive(
    st.one_of(keys, st.floats(allow_nan=False), st.sets(st.text(max_size=2), max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)
PROTOCOLS = range(reference.HIGHEST_PROTOCOL + 1)


@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_data_comes_back_from_every_protocol(data, protocol):
    assert pickle.load(reference.dumps(data, protocol)) == [data]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_char_rnn_saves_comes_back(protocol):
    chars = ("e", "\n", "ñ")
    saved = (chars, dict(zip(chars, range(3), strict=True)))
    assert pickle.load(reference.dumps(saved, protocol)) == [saved]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_object_becomes_its_name_and_state(protocol):
    [record] = pickle.load(reference.dumps(argparse.Namespace(rnn_size=128, model="lstm"), protocol))
    assert (record.name, record.state) == ("argparse.Namespace", {"rnn_size": 128, "model": "lstm"})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(int, x=3), {"x": 3}),
        (frozenset({1, 2}), {1, 2}),
        (np.float32(1.5), 1.5),
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.array(["ab", "ñ"]), ["ab", "ñ"]),
        (np.array([1, 2], ">i4"), [1, 2]),
    ],
    ids=repr,
)
def test_well_known_containers_become_plain(made, expected, protocol):
    assert pickle.load(reference.dumps(made, protocol)) == [expected]


def test_python_2_byte_strings_are_text_where_they_are_ascii():
    assert pickle.load(b"(S'a'\nS'\\n'\nS'\\xec'\ntp1\n.") == [("a", "\n", b"\xec")]
    assert pickle.load(b"\x80\x02U\x01aq\x00.") == ["a"]
    assert pickle.load(
        b"ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR(dS'n'\nI5\nsb."
    ) == [pickle.Record("argparse.Namespace", (), {"n": 5})]


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_called(tmp_path, protocol):
    [record] = pickle.load(reference.dumps(Attack(tmp_path / "made"), protocol))
    assert record.name.endswith(".mkdir")
    assert not (tmp_path / "made").exists()


def test_a_cut_pickle_is_refused_wherever_it_is_cut():
    whole = reference.dumps({"a": [1, 2.5, (b"x", {"y"})]}, 4)
    for kept in range(1, len(whole)):
        with pytest.raises(Cut, match="the pickle breaks off at byte"):
            pickle.load(whole[:kept])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(Cut):
        assert isinstance(pickle.load(data), list)


def test_a_key_that_would_take_for_ever_to_hash_is_refused():
    nested = b")" + b"2\x86" * 100  # t = (t, t), a hundred times
    with pytest.raises(Cut, match="a tuple as a key"):
        pickle.load(b"\x80\x02}" + nested + b"Ns.")


@pytest.mark.parametrize("pair", [b"2\x86", b"q\x00]h\x00ah\x00a", b"q\x00}K\x00h\x00sK\x01h\x00s"])
def test_lists_that_hold_each_other_twice_are_refused(pair):
    assert pickle.load(b"]" + pair * 10 + b".")
    with pytest.raises(Cut, match=r"more than .* objects when written out"):
        pickle.load(b"]" + pair * 40 + b".")


def test_a_list_that_holds_itself_is_counted_once():
    (found,) = pickle.load(b"]q\x00h\x00a.")
    assert found[0] is found
