"""Harmful pickles behind every entrance of PyTorch's formats: nothing of them is imported or called."""

import contextlib
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest

from reprise import formats
from reprise.errors import ReadError
from tests.formats.test_sb3 import archive, policy

FILES = Path(__file__).parents[1] / "data" / "torchscript"
COMMAND = "touch harmed"


class _Reduce:
    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how


def _harmful():
    """Pickles that harm whoever loads them, by what they do."""
    call = pickle.dumps(_Reduce(os.system, (COMMAND,)), 2)
    code = f"__import__('os').system({COMMAND!r})"
    return {
        "reduce": call,
        "protocol 0": pickle.dumps(_Reduce(os.system, (COMMAND,)), 0),
        "protocol 4": pickle.dumps(_Reduce(os.system, (COMMAND,)), 4),
        "eval": pickle.dumps(_Reduce(eval, (code,)), 2),
        "exec": pickle.dumps(_Reduce(exec, (code,)), 2),
        "in a list": pickle.dumps([1, _Reduce(os.system, (COMMAND,))], 2),
        "in a dictionary": pickle.dumps({"weight": _Reduce(os.system, (COMMAND,))}, 2),
        "state": pickle.dumps(_Reduce(dict, (), {"x": _Reduce(os.system, (COMMAND,))}), 2),
        "items": pickle.dumps(_Reduce(list, (), None, iter([_Reduce(os.system, (COMMAND,))])), 2),
        "instance": f"(S'{COMMAND}'\nios\nsystem\n.".encode(),
        "object": f"(cos\nsystem\nS'{COMMAND}'\no.".encode(),
        "new object": b"\x80\x02cos\nsystem\nU" + bytes([len(COMMAND)]) + COMMAND.encode() + b"\x85\x81.",
        "getattr": b"cbuiltins\ngetattr\n(cos\nS'system'\ntR(S'" + COMMAND.encode() + b"'\ntR.",
        "build": b"cos\nenviron\n}S'HARMED'\nS'1'\nsb.",
        "persistent id": b"\x80\x02(U\x07storagecos\nsystem\nU\x010U\x03cpuK\x01tQ.",
        "extension": b"\x80\x02\x82\x01.",
    }


def with_member(path, name, content):
    """Replaces a member of an archive."""
    with zipfile.ZipFile(path) as old:
        members = {member: old.read(member) for member in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for member, data in members.items():
            new.writestr(member, content if member.endswith(name) else data)
    return path


def _inner(pickled):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        inner.writestr("archive/data.pkl", pickled)
    return stream.getvalue()


def _program(folder, pickled):
    return with_member(Path(shutil.copy(FILES / "policy.pt", folder / "m.pt")), "/data.pkl", pickled)


def _constants(folder, pickled):
    return with_member(Path(shutil.copy(FILES / "policy.pt", folder / "m.pt")), "/constants.pkl", pickled)


def _policy(folder, pickled):
    return archive(folder / "m.zip", policy(), extra={"policy.pth": _inner(pickled)})


def _export(folder, pickled):
    with zipfile.ZipFile(folder / "m.pt2", "w") as new:
        new.writestr(
            "serialized_exported_program.json", json.dumps({"schema_version": {"major": 8}, "graph_module": {}})
        )
        new.writestr("serialized_state_dict.pt", _inner(pickled))
    return folder / "m.pt2"


def _state_dict(folder, pickled):
    (folder / "m.pth").write_bytes(_inner(pickled))
    return folder / "m.pth"


@pytest.mark.parametrize("entrance", [_program, _constants, _policy, _export, _state_dict])
@pytest.mark.parametrize("kind", _harmful())
def test_nothing_of_a_harmful_pickle_is_run(tmp_path, monkeypatch, entrance, kind):
    monkeypatch.chdir(tmp_path)
    path = entrance(tmp_path, _harmful()[kind])
    before = set(tmp_path.iterdir())
    with contextlib.suppress(ReadError):
        formats.read(path)
    assert set(tmp_path.iterdir()) == before
    assert "HARMED" not in os.environ
