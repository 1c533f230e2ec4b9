"""Runs small enough for a test: a few hundred parameters, steps of milliseconds."""

import numpy as np

from reprise.train import TrainConfig, begin, resume

TEXT = "how much wood would a woodchuck chuck if a woodchuck could chuck wood?\n" * 40


def corpus(folder, text=TEXT):
    path = folder / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    return path


def config(folder, **changes):
    """A run in `folder / "run"` on `folder / "corpus.txt"`, made if it is not there."""
    data = folder / "corpus.txt"
    settings = {
        "data": (str(data if data.exists() else corpus(folder)),),
        "out": str(folder / "run"),
        "rnn_size": 8,
        "embedding_size": 5,
        "seq_length": 6,
        "batch_size": 3,
        "max_steps": 6,
        "checkpoint_every": 3,
        "val_frac": 0.05,
        "sample_length": 5,
    }
    return TrainConfig(**{**settings, **changes})


class Events(list):
    """An observer that remembers."""

    def __call__(self, event):
        self.append(event)

    def of(self, kind):
        return [event for event in self if isinstance(event, kind)]

    def losses(self):
        return np.concatenate([event.losses for event in self if hasattr(event, "losses")])


def trained(folder, **changes):
    events = Events()
    begin(config(folder, **changes), (events,))
    return events


def resumed(folder, **given):
    events = Events()
    resume(folder / "run", given, (events,))
    return events
