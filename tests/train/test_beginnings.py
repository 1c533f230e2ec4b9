import io
import sys

import numpy as np
import pytest

from reprise.errors import CallError, RepriseError
from reprise.train import checkpoints
from tests.train.small import TEXT, config, corpus, resumed, trained


@pytest.mark.parametrize(
    "changes",
    [
        {"data": ("nowhere.txt",)},
        {"batch_size": 10**6},
        {"init_from": "nowhere"},
        {"level": "values"},
        {"encoding": "klingon"},
    ],
    ids=str,
)
def test_a_run_that_fails_at_its_start_leaves_everything_as_it_was(tmp_path, changes):
    corpus(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("my own")
    for out in (tmp_path / "runs/first", mine):
        with pytest.raises(RepriseError):
            trained(tmp_path, out=str(out), **changes)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["corpus.txt", "mine", "notes.txt"]


def test_a_run_that_is_interrupted_before_its_first_checkpoint_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_files_that_a_run_would_replace_are_not_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/README.md").write_text("my own")
    with pytest.raises(CallError, match=r"run: holds README\.md, which a run would replace\. Give another --out\."):
        trained(tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["README.md"]
    assert (tmp_path / "run/README.md").read_text() == "my own"


def test_what_a_run_left_that_was_killed_before_its_first_checkpoint_is_begun_anew(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".lock", "README.md", "history.jsonl"):
        (tmp_path / "run" / name).touch()
    assert len(trained(tmp_path).losses()) == 6


def test_data_that_is_given_anew_to_a_run_must_be_its_own(tmp_path):
    trained(tmp_path)
    (tmp_path / "corpus.txt").rename(tmp_path / "moved.txt")
    assert len(resumed(tmp_path, data=(str(tmp_path / "moved.txt"),), max_steps=7).losses()) == 1
    corpus(tmp_path, TEXT.replace("wood", "food"))
    with pytest.raises(CallError, match=r"corpus\.txt: its content is not what the run was started with\. --resume "):
        resumed(tmp_path, data=(str(tmp_path / "corpus.txt"),), max_steps=8)
    assert len(resumed(tmp_path, max_steps=8).losses()) == 1, "the ids in the run folder are still its own"


def test_numbers_from_standard_input_must_be_given_again(tmp_path, monkeypatch):
    def piped(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    table = "".join(f"{value}\n" for value in np.sin(np.arange(400)))
    piped(table)
    trained(tmp_path, data=("-",), level="values")
    with pytest.raises(CallError, match="-: it came from standard input, which must be given again"):
        resumed(tmp_path, max_steps=8)
    piped(table)
    assert len(resumed(tmp_path, data=("-",), max_steps=8).losses()) == 2


def test_a_number_of_workers_that_nobody_connects_is_refused(tmp_path):
    with pytest.raises(CallError, match=r"--workers is 2, and TF_CONFIG connects 1\. Leave --workers out"):
        trained(tmp_path, workers=2)
    assert not (tmp_path / "run").exists()
    assert config(tmp_path).workers == 1


@pytest.mark.parametrize(("given", "expected"), [({}, 0), ({"forget_bias": 1.0}, 1)])
def test_the_forget_gates_of_a_run_begin_where_they_are_told_to(tmp_path, given, expected):
    trained(tmp_path, max_steps=1, **given)
    values = checkpoints.read(tmp_path / "run" / "model.ckpt-1").values
    for layer in range(2):
        gates = values[f"rnn/layer{layer}/bias"].reshape(4, -1)  # after one step of Adam at 0.002
        np.testing.assert_allclose(gates, np.outer([0, 0, expected, 0], np.ones(8)), atol=0.003)
