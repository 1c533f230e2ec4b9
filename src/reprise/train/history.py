"""How a run went: its losses step by step, as columns, as a picture, and in a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from reprise.errors import MissingDependency
from reprise.tensors import Array

HISTORY = "history.jsonl"
PLOT = "loss.png"
#: How much of the beginning, and of the highest losses, may lie above the picture.
_SPIKE, _SHOWN = 0.05, 0.99


@dataclass(frozen=True)
class TrainingHistory:
    """The losses of a run.

    Attributes:
        folder: Of the run.
        unit: What a loss is measured in.
        lines: What `history.jsonl` holds, one mapping for each step and each validation.
    """

    folder: Path
    unit: str
    lines: tuple[Mapping[str, Any], ...]

    @classmethod
    def load(cls, folder: str | PathLike[str], unit: str = "") -> TrainingHistory:
        """The history in a run folder; empty where there is none."""
        return cls(Path(folder), unit, tuple(read_history(Path(folder))))

    @cached_property
    def columns(self) -> dict[str, Array]:
        """`step`, `loss`, `gradient_norm` and `learning_rate` of every step, one array each."""
        return self._columns("loss", ("step", "loss", "gradient_norm", "learning_rate"))

    @cached_property
    def validation(self) -> dict[str, Array]:
        """`step` and `validation_loss` of every validation, one array each."""
        return self._columns("validation_loss", ("step", "validation_loss"))

    def _columns(self, mark: str, names: tuple[str, ...]) -> dict[str, Array]:
        lines = [line for line in self.lines if mark in line]
        return {name: np.array([line.get(name, np.nan) for line in lines]) for name in names}

    @property
    def best(self) -> tuple[int, float] | None:
        """The step of the lowest validation loss, and that loss; None where nothing was validated."""
        steps, losses = self.validation.values()
        at = int(np.argmin(losses)) if len(losses) else -1
        return (int(steps[at]), float(losses[at])) if at >= 0 else None

    def plot(self) -> Any:
        """A Matplotlib figure of the losses over the steps; the best validation is marked.

        Raises:
            MissingDependency: Matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise MissingDependency("a plot needs Matplotlib: pip install matplotlib") from error
        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        label = f"loss ({self.unit})" if self.unit else "loss"
        axes = figure.add_subplot(xlabel="step", ylabel=label, title=self.folder.resolve().name)
        steps, losses = self.columns["step"], self.columns["loss"]
        axes.plot(steps, losses, color="tab:blue", alpha=0.25, linewidth=0.8)
        axes.plot(_smoothed(steps), _smoothed(losses), color="tab:blue", label="training")
        self._plot_validation(axes)
        axes.set_ylim(*_shown_range(losses, self.validation["validation_loss"]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        return figure

    def _plot_validation(self, axes: Any) -> None:
        if self.best is None:
            return
        axes.plot(*self.validation.values(), color="tab:orange", marker="o", markersize=4, label="validation")
        step, loss = self.best
        mark = {"color": "tab:red", "marker": "*", "markersize": 12, "linestyle": "none", "zorder": 3}
        axes.plot([step], [loss], label=f"best: {loss:.4g} at step {step:,}", **mark)

    def _repr_html_(self) -> str:
        rows = [("run", str(self.folder)), ("steps", f"{len(self.columns['step']):,}")]
        if len(self.columns["loss"]):
            rows.append(("last training loss", f"{self.columns['loss'][-1]:.4f} {self.unit}"))
        if self.best:
            rows.append(("best validation loss", f"{self.best[1]:.4f} {self.unit}, at step {self.best[0]:,}"))
        cells = "".join(f"<tr><th style='text-align:left'>{k}</th><td>{escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{cells}</table>"


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's history without those that are damaged, such as a last one that a kill cut short."""
    path = folder / HISTORY
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, TypeError, KeyError):
            facts = json.loads(line)
            int(facts["step"])
            found.append(facts)
    return found


def draw_plot(history: TrainingHistory, path: Path) -> None:
    """Writes the plot as a PNG; nothing before the first step, or without Matplotlib."""
    if not len(history.columns["step"]):
        return
    with suppress(MissingDependency):
        figure = history.plot()
        fresh = path.with_name(f".writing-{path.name}")
        figure.savefig(fresh, format="png")
        fresh.replace(path)


def _smoothed(values: Array) -> list[float]:
    """The means of about a hundred equal stretches."""
    width = max(1, len(values) // 100)
    return [float(np.mean(values[at : at + width])) for at in range(0, len(values), width)]


def _shown_range(losses: Array, validation: Array) -> tuple[float, float]:
    """The losses to show: all but the spike of the first steps and the highest outliers."""
    settled = losses[int(len(losses) * _SPIKE) :]
    high = max(float(np.quantile(settled, _SHOWN)), float(validation.max(initial=-np.inf)))
    low = min(float(losses.min()), float(validation.min(initial=np.inf)))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
