"""A run in the terminal: a live line while it learns, a sample at every checkpoint, and a table at the end."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from reprise.train.events import Advanced, Event, Finished, Saved, Started, Validated
from reprise.train.history import PLOT
from reprise.train.records import best_prefix, commands, describe

#: Where no terminal shows the live line, one is printed this often.
_LINE_EVERY_S = 10.0
#: The least width of what stands in the live line beside its texts: spinner, bar and spaces.
_BESIDE = 8
#: How much of the shown loss and speed the past makes up, per step and per look.
_LOSS_MEMORY, _SPEED_MEMORY = 0.95, 0.7
#: What would move a terminal's cursor or worse, as it is written in a program.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}


class Display:
    """Shows the events of a run on standard error, or on the console given; use it as a context manager.

    Args:
        console: Where to write.
        quiet: Show only warnings and the table at the end.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"),
            console=self._console,
            expand=True,
            transient=True,  # what a run is at when it ends is told in words
            disable=quiet,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("starting", facts="", total=None)
        self._meter: _Meter | None = None
        self._said = 0.0

    @property
    def started(self) -> bool:
        """Whether the run has begun to train."""
        return self._meter is not None

    def __enter__(self) -> Display:
        """Begins the live line."""
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the live line."""
        with self._watched():
            if self._bar.live.is_started:  # or it would print an empty line
                self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Shows what is new in an event."""
        with self._watched():
            self._show(event)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """When whoever watched is gone nothing is shown any more, and the run is asked to end, as by a closed terminal.

        For a terminal the system does that, where it is wanted.
        """
        try:
            yield
        except (OSError, SystemExit) as error:  # the latter is what rich makes of a broken pipe
            self._console.quiet = True
            if isinstance(error, (BrokenPipeError, SystemExit)):
                signal.raise_signal(signal.SIGHUP)

    def _show(self, event: Event) -> None:
        match event:
            case Started():
                self._meter = _Meter(event)
                self._opening(event)
            case Advanced() if self._meter:
                self._meter.add(event)
                self._live(event.step, self._meter)
            case Validated() if self._meter:
                self._measured(event, self._meter)
            case Saved(step=step) if step:
                self._say(f"  saved {event.prefix}")
            case Finished() if self._meter:
                self.__exit__()
                self._closing(event, self._meter)

    def _opening(self, event: Started) -> None:
        unit = "steps" if event.model.task == "forecast" else event.config.level
        self._say(f"{describe(event)}")
        self._say(f"{event.tokens:,} {unit}, {event.steps_per_epoch:,} steps an epoch; run folder {event.folder}")
        for warning in event.warnings:
            self._say(warning, always=True)
        for note in event.notes:
            self._say(note)

    def _live(self, step: int, meter: _Meter) -> None:
        done = f"step {step:,}/{meter.started.total_steps:,}"
        room = self._console.width - len(done) - _BESIDE
        facts, share = meter.facts(room), meter.share_done()
        self._bar.update(self._task, description=done, facts=facts, total=1.0, completed=share)
        if not self._console.is_terminal and time.monotonic() - self._said > _LINE_EVERY_S:
            self._say(f"{done}  {meter.facts(math.inf)}")

    def _measured(self, event: Validated, meter: _Meter) -> None:
        if event.loss is not None:
            self._say(f"step {event.step:,}: validation {meter.loss(event.loss)}{' (best so far)' * event.best}")
        if event.sample:
            lines = (f"    {line.translate(_CONTROLS)}" for line in event.sample.splitlines())
            self._say("\n".join(lines), style="dim")

    def _closing(self, event: Finished, meter: _Meter) -> None:
        rows = {
            "ended": f"after step {event.step:,}: {event.why}",
            "time": _clock(event.seconds) + meter.mean_speed(),
            **({"validation": meter.loss(event.best_loss)} if math.isfinite(event.best_loss) else {}),
            **_checkpoint(event),
            **({"plot": str(event.folder / PLOT)} if (event.folder / PLOT).exists() else {}),
            **commands(event),
        }
        for name, value in rows.items():  # in lines of any length, so that a command can be copied
            self._console.print(Text(f"{name:<12}{value}"), soft_wrap=True)

    def _say(self, text: str, style: str = "", *, always: bool = False) -> None:
        if always or not self._quiet:
            self._said = time.monotonic()
            self._console.print(Text(text, style), soft_wrap=True)


def _checkpoint(event: Finished) -> dict[str, str]:
    """Which checkpoint the folder stands for, as a row of the table."""
    prefix = str(best_prefix(event))
    if not event.best_step:
        return {"last": prefix}
    last = f"; --checkpoint last is step {event.step:,}" if event.step != event.best_step else ""
    return {"best": f"{prefix}, for which {event.folder} stands{last}"}


class _Meter:
    """Running means of what the live line shows."""

    def __init__(self, started: Started) -> None:
        self.started = started
        self.forecast = started.model.task == "forecast"
        self.unit = {"characters": "chars", "bytes": "bytes", "words": "words"}.get(started.config.level, "values")
        self._began = self._first_at = time.monotonic()
        self._step = self._first_step = started.step
        self._loss = self._speed = 0.0
        self._tokens, self._seconds = 0, 0.0

    def add(self, event: Advanced) -> None:
        """Takes some steps into account; the first ones, which compile, do not count as speed."""
        losses = event.losses.tolist()
        self._loss = self._loss or losses[0]
        for loss in losses:
            self._loss = _LOSS_MEMORY * self._loss + (1 - _LOSS_MEMORY) * loss
        if self._step == self.started.step:
            self._first_step, self._first_at = event.step, time.monotonic()
        else:
            now = event.tokens / max(event.seconds, 1e-9)
            self._speed = _SPEED_MEMORY * self._speed + (1 - _SPEED_MEMORY) * now if self._speed else now
            self._tokens, self._seconds = self._tokens + event.tokens, self._seconds + event.seconds
        self._step = event.step

    def loss(self, loss: float) -> str:
        """A loss in words."""
        if self.forecast:
            return f"loss {loss:.4f} (RMSE {math.sqrt(max(loss, 0.0)):.4f} standard deviations)"
        unit = self.started.config.loss_unit
        return f"loss {loss:.4f} {unit}, {loss / math.log(2):.3f} bits"

    def mean_speed(self) -> str:
        """Tokens a second over all steps but the first, if there are any."""
        return f", {self._tokens / self._seconds:,.0f} {self.unit}/s while training" if self._seconds else ""

    def facts(self, room: float) -> str:
        """Loss, speed and time left; what is least needed is left out until the rest has room."""
        left = self._seconds_left()
        ending = "" if left is None else f"  {_clock(left)} left"
        speed = f"  {self._speed:,.0f} {self.unit}/s" if self._speed else ""
        loss = f"loss {self._loss:.4f}"
        wordings = self.loss(self._loss) + speed + ending, loss + speed + ending, loss + ending, loss
        return next((words for words in wordings if len(words) <= room), loss)

    def share_done(self) -> float:
        """How much of the run is done, by steps or by time, whichever ends it first."""
        minutes = self.started.config.max_minutes
        by_time = (time.monotonic() - self._began) / (60 * minutes) if minutes else 0.0
        return min(1.0, max(by_time, self._step / self.started.total_steps))

    def _seconds_left(self) -> float | None:
        made = self._step - self._first_step
        if not made:
            return None
        by_steps = (time.monotonic() - self._first_at) / made * (self.started.total_steps - self._step)
        minutes = self.started.config.max_minutes
        return by_steps if minutes is None else min(by_steps, max(0.0, self._began + 60 * minutes - time.monotonic()))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
