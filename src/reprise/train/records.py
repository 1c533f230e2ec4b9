"""What a run leaves beside its checkpoints: history, loss plot, TensorBoard, and a README that explains the folder."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from reprise.train.checkpoints import BEST, prefix_of, write_text
from reprise.train.events import Advanced, Event, Finished, Saved, Started, Validated
from reprise.train.history import HISTORY, PLOT, TrainingHistory, draw_plot, read_history

EVENTS = "tensorboard"
README = "README.md"
#: Seconds between two drawings of the plot, or so many times what the last one took if that is more.
_DRAW_EVERY_S, _DRAW_SHARE = 20.0, 50


class History:
    """One JSON line for every step and every validation, and a picture of them.

    Args:
        folder: Of the run.
        step: Lines of later steps, left by a run that was killed, are removed: the run makes them again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path, self._draw_at, self._unit = folder / HISTORY, -math.inf, ""
        folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_history(folder) if line["step"] <= step]
        write_text(self._path, "".join(map(_line, kept)))

    def __call__(self, event: Event) -> None:
        """Writes what is new in an event."""
        match event:
            case Started():
                self._unit = event.config.loss_unit
            case Advanced():
                self._append(_steps(event))
            case Validated(step=step, loss=float(loss)):
                self._append([{"step": step, "validation_loss": loss}])
            case Saved(step=step) if step and time.monotonic() > self._draw_at:
                self._draw()
            case Finished():
                self._draw()

    def _append(self, lines: list[dict[str, Any]]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(map(_line, lines))

    def _draw(self) -> None:
        before = time.monotonic()
        draw_plot(TrainingHistory.load(self._path.parent, self._unit), self._path.with_name(PLOT))
        after = time.monotonic()
        self._draw_at = after + max(_DRAW_EVERY_S, _DRAW_SHARE * (after - before))


def _steps(event: Advanced) -> list[dict[str, Any]]:
    first = event.step - len(event.losses) + 1
    rows = zip(event.losses.tolist(), event.norms.tolist(), event.rates.tolist(), strict=True)
    return [
        {"step": first + k, "loss": loss, "gradient_norm": norm, "learning_rate": rate}
        for k, (loss, norm, rate) in enumerate(rows)
    ]


def _line(facts: dict[str, Any]) -> str:
    return json.dumps(facts) + "\n"


class TensorBoard:
    """Losses, gradient norm, learning rate and samples, for `tensorboard --logdir`.

    Its file is records of `Event`: written as such, a step costs a hundredth of what it costs by `tf.summary`.
    """

    def __init__(self, folder: Path) -> None:
        (folder / EVENTS).mkdir(parents=True, exist_ok=True)
        self._file = tf.io.TFRecordWriter(str(folder / EVENTS / f"events.out.tfevents.{time.time():.6f}"))
        self._write(file_version="brain.Event:2")

    def __call__(self, event: Event) -> None:
        """Writes what is new in an event."""
        match event:
            case Advanced():
                for facts in _steps(event):
                    self._scalars(facts.pop("step"), facts)
            case Validated(step=step, loss=loss, sample=sample):
                self._scalars(step, {"validation_loss": loss} if loss is not None else {})
                if sample:
                    self._text(step, "sample", "```\n" + sample + "\n```")
            case Saved() | Finished():
                self._file.flush()

    def _scalars(self, step: int, facts: Mapping[str, float]) -> None:
        tags = {"loss": "loss/training", "validation_loss": "loss/validation"}
        values = [{"tag": tags.get(name, name), "simple_value": value} for name, value in facts.items()]
        self._write(step=step, summary={"value": values})

    def _text(self, step: int, tag: str, text: str) -> None:
        kind = {"plugin_data": {"plugin_name": "text"}}
        value = {"tag": tag, "metadata": kind, "tensor": tf.make_tensor_proto(text)}
        self._write(step=step, summary={"value": [value]})

    def _write(self, **facts: Any) -> None:
        self._file.write(tf.compat.v1.Event(wall_time=time.time(), **facts).SerializeToString())


def write_readme(event: Event) -> None:
    """Explains the run folder when the run begins, and tells its result when it ends."""
    match event:
        case Started(folder=folder):
            write_text(folder / README, _readme(event))
        case Finished(folder=folder):
            opening = (folder / README).read_text(encoding="utf-8").split("\n## Result\n")[0]
            write_text(folder / README, f"{opening}\n## Result\n\n{_result(event)}\n")


def commands(event: Finished) -> dict[str, str]:
    """The commands that go on from here: what for → command."""
    folder, onnx, events = map(quoted, (event.folder, event.folder / "model.onnx", event.folder / EVENTS))
    return {
        **({"forecast": f"reprise forecast {folder} data.csv --steps 48"} if event.forecast else {}),
        **({} if event.forecast else {"sample": f"reprise sample {folder} --length 600 --temperature 0.8"}),
        "resume": f"reprise train --out {folder} --resume{event.more}",
        "export": f"reprise export {folder} {onnx} --to onnx",
        "tensorboard": f"tensorboard --logdir {events}",
    }


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def best_prefix(event: Finished) -> Path:
    """The best checkpoint, or the last where none was measured."""
    return prefix_of(event.folder, event.best_step or event.step)


def _result(event: Finished) -> str:
    best = best_prefix(event)
    which = "Best" if event.best_step else "Last"
    loss = "" if math.isinf(event.best_loss) else f", validation loss {event.best_loss:.4f} {event.unit}"
    listed = "\n".join(f"    {command}" for command in commands(event).values())
    return (
        f"Ended after step {event.step}: {event.why}. {which} checkpoint: `{best}`{loss}. The folder stands for it; "
        f"`--checkpoint last` is that of step {event.step}.\n\n{listed}\n"
    )


def _readme(event: Started) -> str:
    forecast, columns = event.model.task == "forecast", event.model.input_size
    return _README.format(
        name=event.folder.resolve().name,
        model=describe(event),
        data=", ".join(event.config.data),
        tokens=f"{event.tokens:,} {'steps' if forecast else 'tokens'}",
        folder=quoted(event.folder),
        best=BEST,
        meaning="the scale of the data" if forecast else "the vocabulary (collection `reprise`, JSON)",
        corpus="" if forecast else _CORPUS,
        call=_FORECAST.format([0.0] * columns, columns) if forecast else _TEXT,
    )


def describe(event: Started) -> str:
    """The model in one clause."""
    m = event.model
    forecast = m.task == "forecast"
    parts = [
        f"{m.num_layers}-layer {m.cell.upper()} of {m.rnn_size} units",
        f"{m.input_size} {'columns' if forecast else 'symbols'}",
        *([] if forecast or not m.embedding_size else [f"embedding {m.embedding_size}"]),
        f"{event.parameters:,} parameters",
    ]
    return ", ".join(parts)


_README = """\
# {name}

A {model}. `reprise train` made it from {data} ({tokens}).

| file | what it is |
|---|---|
| `model.ckpt-STEP.*` | a checkpoint of TensorFlow's Saver: weights, optimizer, place in the data, carried state |
| `checkpoint` | names the checkpoints: the last ones and the best |
| `{best}` | names the best one by validation, which Reprise takes for the folder |
| `history.jsonl` | loss, gradient norm and learning rate of every step; validation losses |
| `loss.png` | a picture of it |
| `tensorboard/` | the same for `tensorboard --logdir {folder}` |
{corpus}
A checkpoint's `.meta` file holds the graph, {meaning} and two signatures, `step` and `train`,
which name every input, output and state. Any TensorFlow can use it:

```python
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
with tf.Session() as session:
    prefix = tf.train.latest_checkpoint(".")  # the last one
    tf.train.import_meta_graph(prefix + ".meta").restore(session, prefix)
    {call}
"""
_CORPUS = (
    "| `corpus.ids`, `corpus.json` | the text as token ids, and what they mean; can be made again from the text |\n"
)
_TEXT = """\
logits = session.run("logits:0", {"tokens:0": [[0]]})
```"""
_FORECAST = """\
values = session.run("values:0", {{"features:0": [[{0}]]}})
```

Numbers go in and come out in the units of the data. `reprise run` reads them from a file such as
`numpy.savez("in.npz", features=x)` writes, x of shape [N, T, {1}]."""
