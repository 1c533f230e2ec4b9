import io
import shutil
import sys

import numpy as np
import pytest

from reprise.errors import CallError, MissingFile
from reprise.train import TrainConfig, begin, checkpoints, transfer
from reprise.train.events import Started
from reprise.train.learner import Learner
from tests.train.small import TEXT, Events, config, corpus, resumed, trained

OTHER = "Woodchucks chuck wood, zebras don't. " * 60


@pytest.fixture(scope="module", params=[5, 0], ids=["embedding", "one-hot"])
def parent(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    trained(folder, embedding_size=request.param)
    return folder / "run"


def child(parent, folder, text=OTHER, **changes):
    path = corpus(folder, text)
    events = Events()
    settings = {"batch_size": 2, "seq_length": 5, "max_steps": 1, "learning_rate": 0.0, "sample_length": 0}
    begin(TrainConfig((str(path),), str(folder / "run"), init_from=str(parent), **{**settings, **changes}), (events,))
    return checkpoints.newest(folder / "run")[1], events.of(Started)[0].notes


def logits(checkpoint, symbols):
    learner = Learner(checkpoint.model, seed=0, grad_clip=0.0, dropout=0.0)
    learner.assign({name: checkpoint.values[name] for name in learner.variables})
    ids = checkpoint.vocabulary.encode(symbols)[None]
    return learner.predict(ids, learner.initial_state(1))[0][0]


def test_known_symbols_keep_their_weights_and_new_ones_are_added(parent, tmp_path):
    before = checkpoints.newest(parent)[1]
    after, notes = child(parent, tmp_path)
    known = before.vocabulary.symbols
    assert after.vocabulary.symbols[: len(known)] == known
    assert set(after.vocabulary.symbols[len(known) :]) == set(OTHER) - set(TEXT)
    text = "could chuck wood"
    np.testing.assert_allclose(logits(after, text)[:, : len(known)], logits(before, text), atol=1e-6)
    assert any("15 symbols reused, 11 new" in note and "'z'" in note for note in notes)
    assert after.values["global_step"] == 1, "steps are counted anew"


def test_the_same_symbols_give_the_same_model(parent, tmp_path):
    before = checkpoints.newest(parent)[1]
    after, notes = child(parent, tmp_path, text=TEXT)
    np.testing.assert_array_equal(logits(after, "how much"), logits(before, "how much"))
    assert any("15 symbols reused, 0 new" in note for note in notes)


def test_the_best_checkpoint_of_a_folder_is_taken_or_the_one_named(parent, tmp_path):
    for name in ("folder", "prefix"):
        (tmp_path / name).mkdir()
    _, notes = child(parent, tmp_path / "folder", text=TEXT)
    assert any("model.ckpt-6" in note for note in notes)
    _, notes = child(parent / "model.ckpt-3", tmp_path / "prefix", text=TEXT)
    assert any("model.ckpt-3" in note for note in notes)


def test_standard_input_is_read_once(parent, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(OTHER.encode())))
    events = Events()
    begin(config(tmp_path, data=("-",), embedding_size=64, init_from=str(parent), max_steps=1), (events,))
    assert any("15 symbols reused, 11 new" in note for note in events.of(Started)[0].notes)


@pytest.mark.parametrize(
    ("settings", "report"),
    [
        ({"level": "words"}, "10 symbols reused, 4 new: \"don't.\" 'newts' 'wood,' 'zebras'"),
        ({"level": "words", "vocabulary_size": 6}, "6 symbols reused, 0 new"),
        ({"level": "bytes"}, "256 symbols reused, 0 new"),
        ({"level": "values"}, "2 columns reused, in order: 1, 2;"),
        ({"model": "gru", "embedding_size": 0}, "15 symbols reused, 10 new: \"'\" ','"),
    ],
    ids=str,
)
def test_every_kind_of_model_gives_its_weights_and_says_what_was_reused(tmp_path, settings, report):
    texts = {"first": TEXT, "then": TEXT + "newts chuck wood, zebras don't. " * 40}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        corpus(tmp_path / name, text)
        np.save(tmp_path / name / "waves.npy", len(text) * np.sin(np.arange(800)[:, None] / [3, 7]))
    file = "waves.npy" if settings.get("level") == "values" else "corpus.txt"
    trained(tmp_path / "first", data=(str(tmp_path / "first" / file),), **settings)
    again = {"init_from": str(tmp_path / "first/run"), "learning_rate": 0.0, "max_steps": 1, **settings}
    events = trained(tmp_path / "then", data=(str(tmp_path / "then" / file),), **again)
    assert any(report in note for note in events.of(Started)[0].notes), events.of(Started)[0].notes
    before, after = (checkpoints.newest(tmp_path / name / "run")[1].values["output/kernel"] for name in texts)
    np.testing.assert_array_equal(after[:, : before.shape[1]], before)


@pytest.mark.parametrize(
    ("header", "asked", "report"),
    [
        ("high,low,end", None, "low, high, end;"),
        ("high,low,end", ("high", "low", "end"), "low for high, high for low, end;"),
        ("high,low,last", None, "low for high, high for low, end for last;"),
    ],
)
def test_columns_are_reused_by_name_or_else_in_order_and_the_report_says_which_for_which(
    tmp_path, header, asked, report
):
    for name, line in {"first": "low,high,end", "then": header}.items():
        (tmp_path / name).mkdir()
        rows = np.sin(np.arange(200)[:, None] / [3, 7, 9])
        np.savetxt(tmp_path / name / "it.csv", rows, delimiter=",", header=line, comments="")
    settings = {"level": "values", "val_frac": 0.2}
    trained(tmp_path / "first", data=(str(tmp_path / "first/it.csv"),), **settings)
    given = {"data": (str(tmp_path / "then/it.csv"),), "init_from": str(tmp_path / "first/run"), "max_steps": 1}
    (started,) = trained(tmp_path / "then", **given, columns=asked, **settings).of(Started)
    assert [note for note in started.notes if f"3 columns reused, in order: {report}" in note], started.notes
    assert len(resumed(tmp_path / "then", max_steps=2).losses()) == 1, "it finds its data in the same order again"


def test_an_empty_name_is_no_run():
    with pytest.raises(MissingFile, match="--init-from names nothing"):
        transfer.source("")


def test_a_run_that_was_never_measured_gives_its_last_weights(tmp_path):
    trained(tmp_path, max_steps=2, checkpoint_every=100)
    assert checkpoints.complete(tmp_path / "run") == [0, 2]
    assert transfer.source(str(tmp_path / "run")).prefix.name == "model.ckpt-2"


def test_what_does_not_fit_is_refused(parent, tmp_path):
    with pytest.raises(CallError, match="its model is one of characters, --level is 'words'"):
        child(parent, tmp_path, level="words")
    with pytest.raises(CallError, match="its --rnn-size is 8, which cannot become 9"):
        child(parent, tmp_path, rnn_size=9)
    with pytest.raises(MissingFile, match="no complete checkpoint"):
        child(tmp_path, tmp_path)
    copy = shutil.copytree(parent, tmp_path / "copy")
    with pytest.raises(MissingFile, match=r"model.ckpt-99.*: no such file"):
        child(copy / "model.ckpt-99", tmp_path)
