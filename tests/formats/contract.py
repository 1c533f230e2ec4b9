"""What every format keeps: derive a test class from `FormatContract`, and say how a small model is written.

    class TestMine(FormatContract):
        name = "My format"

        @classmethod
        def write(cls, folder):
            return …  # the path that a user would name

`test_identify.py` holds that every format has such a class.
"""

import contextlib
import importlib
import re
import shutil
import tracemalloc
from pathlib import Path

import pytest

from reprise import formats
from reprise.errors import ReadError

#: Bytes at the beginning of a file that are changed one by one, and lengths to which it is cut.
HEAD, CUTS = 160, 48
#: Memory that reading may take beside a multiple of the file's own size: modules and parsers that load on first use.
BASE, TIMES = 16 << 20, 64


class FormatContract:
    """The laws of a format; `name` is how users see it."""

    name: str

    @classmethod
    def write(cls, folder):
        """Writes a small model into an empty folder; gives its path as a user would name it."""
        raise NotImplementedError

    @classmethod
    def told_by(cls, path):
        """The file by whose content the model is told."""
        return path

    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, tmp_path_factory):
        return cls.write(tmp_path_factory.mktemp("written"))

    @pytest.fixture
    def path(self, written, tmp_path):
        """A copy of the model, to be changed."""
        shutil.copytree(written if written.is_dir() else written.parent, tmp_path / "copy")
        return tmp_path / "copy" if written.is_dir() else tmp_path / "copy" / written.name

    def test_it_is_claimed_by_its_format_alone(self, path):
        assert [f.name for f in formats.FORMATS if f.sniff(path)] == [self.name]
        assert formats.read(path).format == self.name

    def test_the_files_of_other_formats_are_not_claimed(self, tmp_path):
        own = next(f for f in formats.FORMATS if f.name == self.name)
        for name, other in contracts().items():
            (tmp_path / name).mkdir()
            assert bool(own.sniff(other.write(tmp_path / name))) == (name == self.name), name

    def test_what_is_empty_or_foreign_is_not_claimed(self, tmp_path):
        own = next(f for f in formats.FORMATS if f.name == self.name)
        for content in (b"", b"\0" * 64, b"\xff" * 64, b"plain text\n" * 9, bytes(range(256))):
            (tmp_path / "file").write_bytes(content)
            assert not own.sniff(tmp_path / "file")
        assert not own.sniff(tmp_path)
        assert not own.sniff(tmp_path / "lacking")

    def test_any_changed_byte_of_the_head_is_refused_or_harmless(self, path):
        file = self.told_by(path)
        whole = file.read_bytes()
        for at in range(min(HEAD, len(whole))):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            self.assert_read_or_refused(path)

    def test_a_cut_file_is_refused_or_harmless(self, path):
        file = self.told_by(path)
        whole = file.read_bytes()
        for size in {len(whole) * part // CUTS for part in range(CUTS)}:
            file.write_bytes(whole[:size])
            self.assert_read_or_refused(path)

    def assert_read_or_refused(self, path):
        with contextlib.suppress(ReadError):
            model = formats.read(path)
            if model.graph is not None:
                assert all(dict(node.attributes) is not None for node in model.graph)

    def test_memory_is_bounded_by_the_size_of_the_file(self, path):
        files = [f for f in path.parent.rglob("*") if f.is_file()]
        file = self.told_by(path)
        whole = file.read_bytes()
        formats.read(path)
        tracemalloc.start()
        try:
            for at in range(0, min(HEAD, len(whole)), 4):  # a length in the head may say anything
                file.write_bytes(whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :])
                self.assert_read_or_refused(path)
            assert tracemalloc.get_traced_memory()[1] < BASE + TIMES * sum(f.stat().st_size for f in files)
        finally:
            tracemalloc.stop()

    def test_the_error_for_a_cut_file_names_it(self, path):
        file = self.told_by(path)
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ReadError, match=f"{re.escape(file.name)}|{re.escape(path.name)}"):
            formats.read(path, format=self.name)

    def test_the_readme_names_it(self):
        readme = (Path(formats.__file__).parents[3] / "README.md").read_text("utf-8")
        assert any(self.name in line for line in readme.splitlines() if line.startswith("| "))


def contracts():
    """The test class of each format, by its name."""
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.formats.{path.stem}")
    return {made.name: made for made in FormatContract.__subclasses__()}
