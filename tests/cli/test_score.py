import io
import json
import sys

import pytest

from reprise.sampling import score
from tests.sampling.fakes import model

TEXT = "a bad cafe\n"


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Every path is the same small model."""
    monkeypatch.setattr("reprise.cli.score.restored", lambda **options: model())


def test_the_score_of_a_file(reprise, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    expected = score(model(), TEXT)
    line = (
        f"{expected.bits_per_symbol:.4f} bits per symbol, perplexity {expected.perplexity:.4f}, 10 symbols predicted\n"
    )
    assert reprise("score", "m", tmp_path / "text") == (0, line, "")


def test_the_score_as_data(reprise, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    expected = score(model(), TEXT)
    assert json.loads(reprise("score", "m", tmp_path / "text", "--json").out) == {
        "bits_per_symbol": expected.bits_per_symbol,
        "perplexity": expected.perplexity,
        "symbols": 10,
    }


def test_a_dash_is_standard_input(reprise, tmp_path, monkeypatch):
    (tmp_path / "text").write_text(TEXT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert reprise("score", "m", "-") == reprise("score", "m", tmp_path / "text")


def test_a_file_that_is_not_there(reprise, tmp_path):
    result = reprise("score", "m", tmp_path / "text")
    assert result == (1, "", f"reprise: {tmp_path / 'text'}: No such file or directory\n")


def test_text_in_another_encoding_is_refused_with_the_place(reprise, tmp_path):
    (tmp_path / "text").write_bytes(b"caf\xe9 bad")
    result = reprise("score", "m", tmp_path / "text")
    assert result.code == 1
    assert "text at byte 3: 0xe9 is not utf-8" in result.err
    assert "--encoding" in result.err
    (tmp_path / "utf-16").write_text(TEXT, encoding="utf-16")
    (tmp_path / "signed").write_text(TEXT, encoding="utf-8-sig")
    (tmp_path / "text").write_text(TEXT)
    plain = reprise("score", "m", tmp_path / "text")
    assert reprise("score", "m", tmp_path / "utf-16", "--encoding", "utf-16") == plain
    assert reprise("score", "m", tmp_path / "signed") == plain, "the mark before UTF-8 is no text, as in training"
