"""A run in a notebook: one bar that moves, with the loss beside it."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from reprise.train.events import Advanced, Event, Finished, Started, Validated

#: Seconds between two drawings.
_EVERY_S = 0.5


class Bar:
    """Shows the events of a run in a notebook; use it as a context manager.

    Args:
        show: Puts HTML into the notebook and gives what changes it: `IPython.display.display(..., display_id=True)`.
    """

    def __init__(self, show: Any = None) -> None:
        self._show: Any = show or _display
        self._place: Any = None
        self._total, self._measured, self._at = 1, "", 0.0

    def __enter__(self) -> Bar:
        """Begins."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends; the bar stays as it is."""

    def __call__(self, event: Event) -> None:
        """Shows what is new in an event."""
        match event:
            case Started():
                self._total = event.total_steps
                self._draw(event.step, "starting", force=True)
            case Advanced():
                self._draw(event.step, f"loss {event.losses[-1]:.4f}")
            case Validated(loss=float(loss)):
                self._measured = f", validation {loss:.4f}{' (best so far)' * event.best}"
            case Finished():
                self._draw(event.step, f"ended: {event.why}", force=True)

    def _draw(self, step: int, line: str, *, force: bool = False) -> None:
        if not force and time.monotonic() < self._at:
            return
        self._at = time.monotonic() + _EVERY_S
        html = (
            f"<progress style='width:40%' max='{self._total}' value='{step}'></progress> "
            f"step {step:,}/{self._total:,} · {escape(line + self._measured)}"
        )
        if self._place is None:
            self._place = self._show(html)
        else:
            self._place(html)


def _display(html: str) -> Any:
    from IPython.display import HTML, display

    handle = display(HTML(html), display_id=True)
    return lambda fresh: handle.update(HTML(fresh))
