"""In which encoding bytes are text, where it is not the one that was expected: only for messages."""

from __future__ import annotations

import codecs
from importlib import import_module

#: What texts of today and of the last decades are written in. Where two fit equally well, the earlier one is named.
_KNOWN = (
    "cp1252 gb18030 big5 cp932 euc_jp cp949 cp1255 cp1256 cp1253 cp1254 koi8_r cp1251 iso8859_2 cp1250 cp1257 "
    "utf_16_le utf_16_be"
).split()
_MOST_BYTES = 1 << 16
#: Readings whose share of unlikely characters differs by less are told apart by how much they are like a language.
_AS_CLEAN = 0.1
_SHOWN = 24


def likely(data: bytes, at: int) -> tuple[str, str] | None:
    """The encoding that `data` fits best, and how the text around byte `at` reads in it; None where none fits."""
    sample = _window(data, at)
    found = import_module("charset_normalizer").from_bytes(sample, cp_isolation=_KNOWN, threshold=0.3)
    cleanest = min((match.chaos for match in found), default=0.0)
    names = {name: match for match in found for name in (match.encoding, *match.could_be_from_charset)}
    fitting = [n for n in _KNOWN if n in names and names[n].chaos < cleanest + _AS_CLEAN and _decodes(data, n)]
    if not fitting:
        return None
    best = max(fitting, key=lambda name: (names[name].coherence, names[name].multi_byte_usage))
    return best, _text_around(data, at, best)


def is_damaged_utf_8(data: bytes) -> bool:
    """Whether nearly all of what is not ASCII is UTF-8: then the rest is damage, and not another encoding."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return sum(ord(c) > 127 for c in text) > 10 * bad


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(data)  # which may end within a character
    except UnicodeError:
        return False
    return True


def _window(data: bytes, at: int) -> bytes:
    """Some whole lines around a byte, where there are lines."""
    start = max(0, at - _MOST_BYTES // 2)
    start = data.find(b"\n", start, at) + 1 or start if start else 0
    end = min(len(data), start + _MOST_BYTES)
    return data[start : data.rfind(b"\n", at, end) + 1 or end] if end < len(data) else data[start:]


def _text_around(data: bytes, at: int, encoding: str) -> str:
    """The text around a byte, in one line."""
    before = codecs.getincrementaldecoder(encoding)().decode(data[:at])
    after = codecs.getincrementaldecoder(encoding)().decode(data[: at + 4 * _SHOWN])[len(before) :]
    return " ".join((before[-_SHOWN // 2 :] + after[:_SHOWN]).split())
