"""What the model writes while it learns."""

from __future__ import annotations

import numpy as np

from reprise import sampling
from reprise.train.learner import Learner
from reprise.train.model import Named
from reprise.vocabulary import Vocabulary


def sample_text(learner: Learner, vocabulary: Vocabulary | None, length: int, *, seed: tuple[int, int]) -> str:
    """Some text at temperature 0.8, begun by a line end where the model knows one; nothing for a forecast."""
    if vocabulary is None or not length:
        return ""
    uniforms = np.random.Generator(np.random.Philox(key=list(seed))).random(length)
    states: Named = learner.initial_state(1)
    token = np.array([[vocabulary.ids.get("\n", 0)]], np.int32)
    written: list[int] = []
    for uniform in uniforms:
        logits, states = learner.predict(token, states)
        token = sampling.draw(logits[:, -1], uniform[None], temperature=0.8)[:, None]
        written.append(int(token[0, 0]))
    return vocabulary.decode(written)
