"""Drawing symbols from a model of symbols, and measuring how well it predicts a text. NumPy only."""

from reprise.sampling.drawing import draw, log_softmax, uniforms
from reprise.sampling.symbols import Steps
from reprise.sampling.text import Score, generate, score

__all__ = ["Score", "Steps", "draw", "generate", "log_softmax", "score", "uniforms"]
