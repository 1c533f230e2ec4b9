"""What a model learns in a few thousand steps, on a text that every Python brings along."""

import pydoc_data.topics

import pytest

from reprise.train import learner
from reprise.train.events import Finished
from tests.train.small import corpus, trained


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_model_of_128_units_reaches_the_loss_that_was_measured(tmp_path, monkeypatch):
    """Measured: 1.267 as it is, 1.418 with the state not carried on, 1.369 with dropout left on while validating."""
    monkeypatch.setattr(learner, "XLA", True)
    corpus(tmp_path, "".join(pydoc_data.topics.topics.values()))
    (finished,) = trained(
        tmp_path,
        rnn_size=128,
        num_layers=1,
        embedding_size=64,
        seq_length=16,
        batch_size=32,
        dropout=0.3,
        learning_rate=0.005,
        max_steps=1500,
        checkpoint_every=500,
    ).of(Finished)
    assert finished.best_loss < 1.32
