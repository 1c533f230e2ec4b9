"""Tables written here block by block, and damaged."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import DamagedFile
from reprise.wire import snappy, sstable
from reprise.wire.fields import encode_varint
from reprise.wire.varint import Cut, varint

FILE = Path("model.ckpt.index")


def block(pairs):
    """A block whose keys share prefixes with the key before."""
    out, last = b"", b""
    for key, value in pairs:
        shared = next((i for i, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), min(len(last), len(key)))
        out += b"".join(map(encode_varint, (shared, len(key) - shared, len(value)))) + key[shared:] + value
        last = key
    return out + struct.pack("<II", 0, 1)


def table(pairs, per_block=2, compress=None):
    data, index = b"", []
    pairs = sorted(pairs.items())
    chunks = [pairs[i : i + per_block] for i in range(0, len(pairs), per_block)]
    for chunk in [*chunks, index]:
        plain = block(chunk)
        content = compress(plain) if compress else plain
        kind = bytes([1 if compress else 0])
        handle = encode_varint(len(data)) + encode_varint(len(content))
        data += content + kind + struct.pack("<I", sstable.masked_crc32c(content + kind))
        if chunk is not index:
            index.append((chunk[-1][0], handle))
    return data + (b"\0\0" + handle).ljust(40, b"\0") + sstable.MAGIC


def squeeze(plain):
    """Snappy with copies of what lies up to 64 bytes back, where it can."""
    out, at = encode_varint(len(plain)), 0
    while at < len(plain):
        for offset in range(1, min(at, 64) + 1):
            length = 0
            while length < 64 and at + length < len(plain) and plain[at + length] == plain[at - offset + length]:
                length += 1
            if length >= 4:
                out += bytes([length - 1 << 2 | 2]) + struct.pack("<H", offset)
                at += length
                break
        else:
            out += b"\0" + plain[at : at + 1]
            at += 1
    return out


tables = st.dictionaries(st.binary(max_size=12), st.binary(max_size=40), min_size=1, max_size=9)


@given(tables)
def test_every_entry_comes_back_in_order(pairs):
    assert list(sstable.entries(table(pairs), FILE)) == sorted(pairs.items())


@given(tables)
def test_compressed_blocks_hold_the_same(pairs):
    assert list(sstable.entries(table(pairs, compress=squeeze), FILE)) == sorted(pairs.items())


@given(st.lists(st.sampled_from([b"a", b"bc", b"abcdefgh"]), max_size=60).map(b"".join))
def test_snappy_undoes_copies_that_overlap_themselves(plain):
    assert snappy.decompress(squeeze(plain)) == plain


@given(st.binary(max_size=40))
def test_snappy_refuses_or_decodes_anything_within_bounds(data):
    with contextlib.suppress(Cut):
        assert len(snappy.decompress(data)) <= 32 * len(data)


def test_snappy_refuses_a_size_that_the_input_cannot_hold():
    with pytest.raises(Cut, match="5 compressed bytes promise 268435455"):
        snappy.decompress(b"\xff\xff\xff\x7f\x00")


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive(number):
    encoded = encode_varint(number)
    assert varint(encoded, 0) == (number, len(encoded))


def test_every_changed_byte_is_noticed_or_harmless():
    pairs = {b"": b"head", b"cell/bias": b"1" * 20, b"cell/kernel": b"2" * 30}
    whole = table(pairs)
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :]
        with contextlib.suppress(DamagedFile):
            assert dict(sstable.entries(damaged, FILE)) == pairs


def test_a_changed_block_is_told_by_its_checksum():
    whole = bytearray(table({b"a": b"hello"}))
    whole[4] ^= 1
    with pytest.raises(DamagedFile, match=r"block at byte 0 has checksum 0x\w{8}, expected 0x\w{8}"):
        list(sstable.entries(bytes(whole), FILE))


def test_a_cut_table_is_told_by_its_end():
    with pytest.raises(DamagedFile, match="expected a table that ends in 57fb808b247547db, found"):
        list(sstable.entries(table({b"a": b"b"})[:-3], FILE))
