"""Drawing symbols from a model of symbols, and measuring how well a model predicts a text or a series. NumPy only."""

from reprise.sampling.drawing import draw, log_softmax, uniforms
from reprise.sampling.forecast import ForecastScore, score_forecast
from reprise.sampling.symbols import Steps
from reprise.sampling.text import Score, generate, score

__all__ = [
    "ForecastScore",
    "Score",
    "Steps",
    "draw",
    "generate",
    "log_softmax",
    "score",
    "score_forecast",
    "uniforms",
]
