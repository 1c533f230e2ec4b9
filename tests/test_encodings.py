"""Which encoding is proposed for text that is not UTF-8."""

import pytest

from reprise.encodings import is_damaged_utf_8, likely

TEXTS = {
    "cp1252": "It’s the boy’s hat – “red”. L’été, à Noël, la garçonnière était fermée. ",
    "cp1250": "Zażółć gęślą jaźń. W Szczebrzeszynie chrząszcz brzmi w trzcinie. ",
    "cp1251": "Все счастливые семьи похожи друг на друга, каждая несчастливая несчастлива по-своему. ",
    "koi8_r": "Все счастливые семьи похожи друг на друга, каждая несчастливая несчастлива по-своему. ",
    "cp1253": "Στην αρχή ο Θεός δημιούργησε τον ουρανό και τη γη. Η γη όμως ήταν έρημη. ",
    "gb18030": "红楼梦是中国古典小说，作者曹雪芹。贾宝玉和林黛玉的爱情悲剧。",
    "big5": "紅樓夢是中國古典小說，作者曹雪芹。賈寶玉和林黛玉的愛情悲劇。",
    "cp932": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "cp949": "나는 학교에 갑니다. 오늘은 날씨가 좋습니다. ",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_text_is_offered_in_the_encoding_that_it_is_in(encoding):
    data = (TEXTS[encoding] * 40).encode(encoding)
    found, reading = likely(data, next(i for i, byte in enumerate(data) if byte > 127))
    assert found == encoding
    assert reading.removesuffix(".") in TEXTS[encoding] * 2


def test_one_accent_far_into_a_long_text_is_western():
    data = b"The quick brown fox jumps over the lazy dog.\n" * 9000 + b"Caf\xe9.\n" + b"The end.\n" * 9000
    assert likely(data, data.index(b"\xe9")) == ("cp1252", "azy dog. Café. The end. The end. The")


def test_what_is_no_text_fits_nothing():
    assert likely(bytes([0xFF, 0, 0x81]) * 40, 0) is None


def test_damage_in_utf_8_is_told_from_another_encoding():
    assert is_damaged_utf_8(("é" * 20).encode() + b"\xff")
    assert not is_damaged_utf_8(("é" * 20).encode("latin-1"))
    assert not is_damaged_utf_8(b"ascii \xff")
