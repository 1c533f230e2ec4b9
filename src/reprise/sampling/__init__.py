"""Drawing symbols from a model of symbols, and measuring how well a model predicts a text or a series. NumPy only."""

from reprise.sampling.drawing import draw, log_softmax, uniforms
from reprise.sampling.forecast import ForecastScore, score_forecast
from reprise.sampling.horizon import Backtest, Forecast, backtest, forecast, read_validation
from reprise.sampling.symbols import SteppableModel
from reprise.sampling.text import Score, generate, score

__all__ = [
    "Backtest",
    "Forecast",
    "ForecastScore",
    "Score",
    "SteppableModel",
    "backtest",
    "draw",
    "forecast",
    "generate",
    "log_softmax",
    "read_validation",
    "score",
    "score_forecast",
    "uniforms",
]
