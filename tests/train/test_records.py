import errno
import io
import math
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from reprise.train import TrainConfig
from reprise.train.display import Display
from reprise.train.events import Advanced, Finished, Saved, Started, Validated
from reprise.train.history import read_history
from reprise.train.interrupts import requests
from reprise.train.model import Architecture
from reprise.train.records import History, TensorBoard, commands


def advanced(step, count=2, seconds=0.5):
    ones = np.ones(count, np.float32)
    return Advanced(step, ones * 2, ones * 0.5, ones * 0.001, tokens=1000 * count, seconds=seconds)


def test_a_resumed_history_forgets_what_lies_after_the_checkpoint(tmp_path):
    history = History(tmp_path, 0)
    for event in (advanced(2), Validated(2, 1.5, True, ""), advanced(4)):
        history(event)
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # killed while writing
    assert [line["step"] for line in read_history(tmp_path)] == [1, 2, 2, 3, 4]
    history_file = tmp_path / "history.jsonl"
    history_file.write_bytes(b"\xff\n7\n{}\n" + history_file.read_bytes())
    assert [line["step"] for line in read_history(tmp_path)] == [1, 2, 2, 3, 4], "damage costs what it hit"
    History(tmp_path, 2)(advanced(4))
    assert [line["step"] for line in read_history(tmp_path)] == [1, 2, 2, 3, 4]
    assert read_history(tmp_path)[2] == {"step": 2, "validation_loss": 1.5}


def test_tensorboard_reads_what_is_written_for_it(tmp_path):
    board = TensorBoard(tmp_path)
    for event in (advanced(2), Validated(2, 1.5, True, "some *text*"), advanced(4), Saved(4, tmp_path, 2)):
        board(event)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("loss/training")] == [(k, 2.0) for k in (1, 2, 3, 4)]
    assert [(point.step, point.value) for point in read.Scalars("loss/validation")] == [(2, 1.5)]
    assert read.SummaryMetadata("sample").plugin_data.plugin_name == "text"
    assert read.Tensors("sample")[0].tensor_proto.string_val == [b"```\nsome *text*\n```"]


def shown(events, width=100, **console):
    stream = io.StringIO()
    with Display(Console(file=stream, width=width, **console)) as display:
        for event in events:
            display(event)
    return stream.getvalue()


def story():
    folder = Path("runs/x")
    config = TrainConfig(("a.txt",), str(folder))
    model = Architecture("lstm", 2, 128, 64, 65)
    started = Started(folder, config, model, 0, 100, 50, 12345, 4242, ("resumed exactly after step 7",))
    end = Finished(folder, False, "all 100 steps are done", 0, 100, 50, 1.386, 61.0, unit="nats per character")
    return [
        started,
        advanced(2),
        advanced(4),
        Validated(50, 1.386, True, "[red]some text\r\n\x1b[2J"),
        Saved(50, folder, 50),
        end,
    ]


def test_the_display_tells_how_a_run_goes_and_what_to_do_then():
    text = shown(story())
    assert "2-layer LSTM of 128 units, 65 symbols, embedding 64, 4,242 parameters" in text
    assert "resumed exactly after step 7" in text
    assert "validation loss 1.3860 nats per character, 2.000 bits (best so far)" in text
    assert "    [red]some text\n    \\x1b[2J\n" in text, "a sample is text, neither markup nor commands"
    assert "1:01, 4,000 chars/s while training" in text
    assert "runs/x/model.ckpt-50, for which runs/x stands; --checkpoint last is step 100\n" in text
    assert "reprise sample runs/x " in text
    assert "reprise train --out runs/x --resume" in text
    assert "reprise export runs/x runs/x/model.onnx --to onnx" in text


def test_a_quiet_run_shows_warnings_and_the_table_at_the_end():
    started, *rest = story()
    stream = io.StringIO()
    with Display(Console(file=stream, width=100), quiet=True) as display:
        for event in (replace(started, warnings=("passed over: it is damaged",)), *rest):
            display(event)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == [
        "passed", "ended", "time", "validation", "best", "sample", "resume", "export", "tensorboard",
    ]  # fmt: skip


def test_a_run_that_measured_nothing_has_a_last_checkpoint_and_no_best_one():
    *before, finished = story()
    text = shown([*before, replace(finished, best_step=0, best_loss=math.inf)])
    assert f"\nlast        runs/x/model.ckpt-{finished.step}\n" in text
    assert "\nbest" not in text


def test_commands_can_be_copied_into_a_shell():
    event = Finished(Path("my runs/x"), False, "it is", 0, 100, 50, 1.0, 1.0, " --workers 2")
    assert [shlex.split(command)[-1] for command in commands(event).values()] == [
        "0.8",
        "2",
        "onnx",
        "my runs/x/tensorboard",
    ]
    assert commands(event)["resume"] == "reprise train --out 'my runs/x' --resume --workers 2"


def test_a_terminal_shows_loss_speed_and_time_left():
    text = shown(story(), force_terminal=True)
    assert "step 4/100" in text
    assert f"loss 2.0000 nats per character, {2 / math.log(2):.3f} bits  4,000 chars/s" in text
    assert "left" in text


def test_no_bar_is_left_when_a_run_has_ended():
    last = shown(story(), force_terminal=True).split("\x1b[2K")[-1]  # what stands when a line was last erased
    assert "after step 100" in last
    assert "step 4/100" not in last


class Gone(io.StringIO):
    """What nobody reads any more."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, _):
        raise self.error


@pytest.mark.parametrize(
    ("error", "asked"), [(OSError(errno.EIO, "a closed terminal"), []), (BrokenPipeError(), [signal.SIGHUP])]
)
def test_a_display_that_nobody_watches_asks_the_run_to_end_where_the_system_does_not(error, asked):
    with requests() as received, Display(Console(file=Gone(error), width=100)) as display:
        for event in story():
            display(event)
    assert received == asked


@pytest.mark.parametrize(
    ("width", "facts"), [(70, "loss 2.0000  4,000 chars/s  0:"), (40, "loss 2.0000"), (38, "loss 2.0000")]
)
def test_a_narrow_terminal_shows_what_is_needed_most_whole(width, facts):
    text = shown(story()[:3], width=width, force_terminal=True)
    assert "step 4/100" in text
    assert facts in text
    assert "…" not in text
    assert "bits" not in text
