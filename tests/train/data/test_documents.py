"""Files, folders, pipes and standard input become documents; bytes that are not text are named with their place."""

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.errors import CallError, MissingFile, ReadError
from reprise.train.data.documents import blocks, decoded, find_documents, text_encoding


def texts(sources, spool):
    return [b"".join(blocks(document)) for document in find_documents(sources, spool)]


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / ".spool"
    folder.mkdir()
    return folder


def test_a_folder_is_its_files_sorted_by_path_without_hidden_ones(tmp_path, spool):
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts(tmp_path, spool) == [b"a/b/c.txt", b"a/z.txt", b"b.txt"]


def test_sources_keep_their_order(tmp_path, spool):
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert texts([tmp_path / "b", str(tmp_path / "a")], spool) == [b"b", b"a"]


def test_standard_input_can_be_read_twice(monkeypatch, spool):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"once")))
    (document,) = find_documents("-", spool)
    assert [b"".join(blocks(document)) for _ in range(2)] == [b"once", b"once"]
    assert document.name == "standard input"


def test_a_named_pipe_can_be_read_twice(tmp_path, spool):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"once"))
    writer.start()
    (document,) = find_documents(pipe, spool)
    writer.join()
    assert [b"".join(blocks(document)) for _ in range(2)] == [b"once", b"once"]


def test_a_missing_source_is_named(tmp_path, spool):
    with pytest.raises(MissingFile, match=r"nowhere\.txt: no such file or folder.*- for standard input"):
        find_documents(tmp_path / "nowhere.txt", spool)


def test_an_empty_name_is_not_the_folder_at_hand(spool):
    with pytest.raises(MissingFile, match="a source has an empty name"):
        find_documents("", spool)


def test_a_closed_standard_input_is_refused(monkeypatch, spool):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(MissingFile, match="standard input is closed"):
        find_documents("-", spool)


def test_a_folder_without_files_is_refused(spool):
    with pytest.raises(MissingFile, match="contains no file to read"):
        find_documents(spool, spool)


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030", "utf-32", "utf-7"]), st.integers(1, 5))
def test_characters_across_blocks_stay_whole(text, encoding, size):
    data = text.encode(encoding)
    cut = [data[i : i + size] for i in range(0, len(data), size)]
    assert "".join(decoded(cut, "it", encoding)) == text


@given(st.binary(), st.sampled_from(["utf-8", "ascii", "shift_jis", "gbk", "euc_kr", "cp1252"]), st.integers(1, 5))
def test_the_offset_in_the_message_is_that_of_the_whole_file_whatever_the_blocks(data, encoding, size):
    try:
        expected = data.decode(encoding)
    except UnicodeDecodeError as error:
        with pytest.raises(ReadError, match=f"it at byte {error.start}: 0x{data[error.start]:02x} is not {encoding}"):
            list(decoded([data[i : i + size] for i in range(0, len(data), size)], "it", encoding))
    else:
        assert "".join(decoded([data], "it", encoding)) == expected


def test_text_that_ends_within_a_character_is_refused():
    with pytest.raises(ReadError, match=r"it at byte 40: 0xc3 is not utf-8 .* Nearly all of it is, so it is damaged"):
        list(decoded(["é".encode() * 20 + b"\xc3"], "it", text_encoding("utf-8")))


def test_the_encoding_that_fits_is_proposed_with_how_the_text_reads_in_it():
    text = "Hers and \x91his\x92: caf\xe9. ".encode("latin-1") * 9
    with pytest.raises(
        ReadError, match=r"at byte 9: 0x91 .* with --encoding cp1252, in which it reads “.* ‘his’: café"
    ):
        list(decoded([text], "it", text_encoding("utf-8")))


def test_bytes_that_fit_no_encoding_have_some_proposed():
    with pytest.raises(
        ReadError,
        match=r"with --encoding, such as cp1252 .* or gb18030 .*trains as bytes \(reprise train --level bytes",
    ):
        list(decoded([bytes([0xFF, 0, 0x81]) * 40], "it", text_encoding("utf-8")))


def test_a_utf_16_file_read_as_utf_8_is_told_from_its_mark():
    with pytest.raises(ReadError, match=r"at byte 0: 0xff is not utf-8 .*--encoding utf-16: it begins with the mark"):
        list(decoded(["á".encode("utf-16")], "it", text_encoding("utf-8")))


def test_utf_16_without_its_mark_is_refused():
    with pytest.raises(ReadError, match=r"it at byte 0: not utf-16 \(.*BOM\)\. Say how .*--encoding"):
        list(decoded([b"a\0b\0"], "it", text_encoding("utf-16")))


def test_damaged_text_in_the_encoding_that_was_said_is_not_taken_for_another():
    text = "ab\n".encode("utf-16") + b"\0"
    with pytest.raises(ReadError, match=r"it at byte 8: 0x00 is not utf-16 .* is damaged there: repair it"):
        list(decoded([text], "it", text_encoding("utf-16")))


def test_a_utf_32_file_is_told_from_its_mark():
    with pytest.raises(ReadError, match=r"at byte 0: 0xff is not utf-8 .*--encoding utf-32: it begins with the mark"):
        list(decoded(["á".encode("utf-32")], "it", text_encoding("utf-8")))


def test_the_byte_order_mark_before_utf_8_is_not_text():
    assert "".join(decoded([b"\xef", b"\xbb\xbfab\xef\xbb\xbf"], "it", text_encoding("UTF8"))) == "ab\ufeff"


@pytest.mark.parametrize("name", ["klingon", "base64", "zlib", "rot13", "a\0b", ""])
def test_what_is_not_an_encoding_of_text_is_refused(name):
    with pytest.raises(CallError, match=r"--encoding .*no such text encoding\. Use one such as utf-8"):
        text_encoding(name)
