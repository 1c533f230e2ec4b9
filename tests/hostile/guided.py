"""Fuzzing of the wire readers that is guided by which lines a change of the bytes reaches; needs `atheris`.

    python -m tests.hostile.guided READER [FOLDERS] [-max_total_time=60 and other options of libFuzzer]

What reaches new lines is written to the first folder; the files in all of them are where it begins.

What a reader raises that is not an error of ours ends the run, with the bytes in a file.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reprise.wire", "pyfive"]):
    import pyfive  # noqa: F401 - else the reader imports it later, when nothing is watched

    from reprise.wire import fields, flatbuffer, hdf5, messages, pickle, snappy, sstable, torch, torch7

from reprise.errors import RepriseError
from reprise.wire.varint import Cut

SOURCE = Path("fuzzed")


def _from_a_file(read):
    """A reader of bytes from one of a path."""
    place = Path(tempfile.mkdtemp(prefix="fuzzed-")) / "file"

    def read_bytes(data):
        place.write_bytes(data)
        return read(place)

    return read_bytes


READERS = {
    "fields": lambda data: list(fields.fields(data)),
    "flatbuffer": lambda data: list(flatbuffer.flex_strings(memoryview(data))),
    "hdf5": lambda data: hdf5.read(memoryview(data), "fuzzed"),
    "graph text": lambda data: messages.parse_text("GraphDef", data, SOURCE),
    "pickle": pickle.load,
    "snappy": snappy.decompress,
    "sstable": lambda data: list(sstable.entries(data, SOURCE)),
    "torch": _from_a_file(torch.read),
    "torch7": _from_a_file(torch7.read),
}


def main():
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in READERS:
        sys.exit(f"expected a reader, one of {', '.join(READERS)}; found {name!r}")
    read = READERS[name]

    def once(data):
        with suppress(Cut, RepriseError):
            read(data)

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
