import shutil

import numpy as np
import pytest

from reprise.errors import CallError, MissingFile
from reprise.train import TrainConfig, checkpoints, train
from reprise.train.events import Started
from reprise.train.learner import Learner
from tests.train.small import TEXT, Events, corpus, trained

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
    train(TrainConfig((str(path),), str(folder / "run"), init_from=str(parent), **{**settings, **changes}), (events,))
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


def test_what_does_not_fit_is_refused(parent, tmp_path):
    with pytest.raises(CallError, match="its vocabulary is one of characters, --level is 'words'"):
        child(parent, tmp_path, level="words")
    with pytest.raises(MissingFile, match="no complete checkpoint"):
        child(tmp_path, tmp_path)
    copy = shutil.copytree(parent, tmp_path / "copy")
    with pytest.raises(MissingFile, match=r"model.ckpt-99.*: no such file"):
        child(copy / "model.ckpt-99", tmp_path)
