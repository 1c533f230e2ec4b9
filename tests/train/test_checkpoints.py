import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from reprise.errors import DamagedFile, MissingFile, ReadError, SaveError, UnknownFormat
from reprise.train import checkpoints
from reprise.train.model import Architecture
from reprise.train.saved_graph import meta_graph
from reprise.vocabulary import Vocabulary
from tests.train.small import trained


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with checkpoints of steps 3 and 6 besides the first."""
    folder = tmp_path_factory.mktemp("whole")
    trained(folder)
    return folder / "run"


@pytest.fixture
def run(whole, tmp_path):
    for file in whole.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def save(folder, step, number):
    meta = (folder / "model.ckpt-6.meta").read_bytes()
    checkpoints.write(folder, step, {"a": tf.fill([300], number), "b": np.int64(step)}, meta)
    checkpoints.announce(folder, [6, step])


@pytest.mark.parametrize("calls", range(1, 30))
def test_a_kill_at_any_moment_leaves_the_checkpoint_before_whole(run, monkeypatch, calls):
    """Every call that changes the folder is once the one before which the process dies."""
    left = calls

    def dying(original):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for owner, name in [
            (os, "fsync"),
            *((Path, n) for n in ("replace", "mkdir", "unlink", "write_bytes", "rmdir")),
        ]:
            patch.setattr(owner, name, dying(getattr(owner, name)))
        try:
            save(run, 9, 1.0)
        except Killed:
            pass
        else:
            assert calls > 15, "the whole of it was done"
    step, checkpoint, wrong = checkpoints.newest(run)
    assert not wrong
    assert step == 6 or checkpoint.values["a"].tolist() == [1.0] * 300
    named = tf.train.latest_checkpoint(str(run))
    assert tf.train.load_checkpoint(named).get_variable_to_shape_map()
    save(run, 9, 2.0)
    assert checkpoints.newest(run)[1].values["a"].tolist() == [2.0] * 300
    assert not list(run.glob(".writing-*/*")), "what the kill left over is gone"


@pytest.mark.parametrize("ending", ["data-00000-of-00001", "index", "meta"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_file_is_noticed_and_the_checkpoint_before_taken(run, ending, damage):
    path = run / f"model.ckpt-6.{ending}"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        at = content.index(b'"symbols"') + 20 if ending == "meta" else len(content) // 3
        content[at] ^= 1
    path.write_bytes(content)
    step, _, wrong = checkpoints.newest(run)
    assert step == 3
    assert "model.ckpt-6" in wrong[0]


@pytest.mark.parametrize("ending", ["data-00000-of-00001", "index", "meta"])
def test_a_file_that_is_gone_is_noticed_and_the_checkpoint_before_taken(run, ending):
    (run / f"model.ckpt-6.{ending}").unlink()
    step, _, wrong = checkpoints.newest(run)
    assert (step, len(wrong)) == (3, 1)
    assert f"model.ckpt-6.{ending}: no such file" in wrong[0]


def test_a_checkpoint_of_a_newer_version_is_not_passed_over(run):
    meta = tf.compat.v1.MetaGraphDef.FromString((run / "model.ckpt-6.meta").read_bytes())
    about = json.dumps({"version": 2}).encode()
    meta.collection_def["reprise"].bytes_list.value[:] = [about, hashlib.sha256(about).hexdigest().encode()]
    (run / "model.ckpt-6.meta").write_bytes(meta.SerializeToString())
    with pytest.raises(UnknownFormat, match=r"model.ckpt-6.meta: written by another version \(2, expected 1\)"):
        checkpoints.newest(run)


def test_without_a_whole_checkpoint_the_reasons_are_told(run, tmp_path_factory):
    with pytest.raises(MissingFile, match="no complete checkpoint"):
        checkpoints.newest(tmp_path_factory.mktemp("empty"))
    for index in run.glob("*.index"):
        index.write_bytes(b"not an index")
    with pytest.raises(DamagedFile, match=r"no checkpoint can be read.*model.ckpt-6.*model.ckpt-3"):
        checkpoints.newest(run)
    with pytest.raises(MissingFile, match=r"model.ckpt-7.* needs .meta, .index and .data"):
        checkpoints.read(run / "model.ckpt-7")


def test_a_checkpoint_of_another_program_is_not_taken_for_a_run(run):
    (run / "model.ckpt-6.meta").write_bytes(tf.compat.v1.MetaGraphDef().SerializeToString())
    with pytest.raises(ReadError, match="`reprise train` did not write this file"):
        checkpoints.read(run / "model.ckpt-6")


def test_a_checkpoint_that_cannot_be_written_leaves_the_others(run, tmp_path):
    run.joinpath(".writing-9").write_text("in the way of the folder")
    with pytest.raises(
        SaveError, match=r"model.ckpt-9: it cannot be written \(File exists\)\. The .* before it are whole"
    ):
        save(run, 9, 1.0)
    assert checkpoints.newest(run)[0] == 6
    (tmp_path / "new").mkdir()
    (tmp_path / "new/.writing-0").write_text("in the way of the folder")
    with pytest.raises(SaveError, match=r"It is the first one: make room, and start again\."):
        checkpoints.write(tmp_path / "new", 0, {}, b"")


def test_values_and_facts_come_back(tmp_path):
    model = Architecture("rnn", 1, 4, 0, 3)
    values = {"trainer/position": np.int64(5), "w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    meta = _meta(model)
    prefix = checkpoints.write(tmp_path, 5, values, meta)
    checkpoint = checkpoints.read(prefix)
    assert checkpoint.model == model
    assert checkpoint.vocabulary == Vocabulary(("a", "b", "ü"))
    assert {name: value.tolist() for name, value in checkpoint.values.items()} == {
        "trainer/position": 5,
        "w": [[0, 1, 2], [3, 4, 5]],
    }


def _meta(model):
    from reprise.train import optimizer
    from reprise.train.model import initial_parameters, parameter_shapes

    values = {**initial_parameters(model, 0), **optimizer.initial_slots(parameter_shapes(model))}
    values |= {"trainer/learning_rate": np.float32(0.1), "trainer/seed": np.int64(1)}
    specs = {name: tf.TensorSpec(np.shape(value), value.dtype) for name, value in values.items()}
    config = {"grad_clip": 5.0, "dropout": 0.0}
    return meta_graph(model, specs, vocabulary=Vocabulary(("a", "b", "ü")), config=config)
