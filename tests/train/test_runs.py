import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import CallError, MissingFile, SaveError, TrainingError
from reprise.train import checkpoints, learner
from reprise.train.events import Finished, Saved, Started, Validated
from reprise.train.history import read_history
from tests.train.small import TEXT, config, corpus, resumed, trained


def variables(folder):
    return checkpoints.newest(folder / "run")[1].values


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.tobytes() == theirs[name].tobytes(), name


@pytest.mark.parametrize(
    ("xla", "settings"), [(True, {"dropout": 0.3}), (False, {"model": "gru", "embedding_size": 0})], ids=str
)
def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path, monkeypatch, xla, settings):
    monkeypatch.setattr(learner, "XLA", xla)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        corpus(folder)
    trained(whole, max_steps=170, checkpoint_every=300, learning_rate_decay_after=0, **settings)
    trained(parts, max_steps=45, checkpoint_every=300, learning_rate_decay_after=0, **settings)
    resumed(parts, max_steps=147)
    resumed(parts, max_steps=170)
    assert_same_bits(variables(whole), variables(parts))
    assert variables(parts)["trainer/best_step"] == 0, (
        "the schedule measured nothing; where the parts ended is no record"
    )
    ours, theirs = ([line for line in read_history(f / "run") if "loss" in line] for f in (whole, parts))
    assert len(ours) == 170
    assert ours == theirs
    assert ours[0]["learning_rate"] > ours[-1]["learning_rate"], "the run spans two epochs"


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "values", "data": "waves.npy", "val_frac": 0.2},
        {"level": "words", "data": "corpus.txt", "val_frac": 0.1, "model": "rnn", "dropout": 0.4},
    ],
    ids=lambda settings: settings["level"],
)
def test_wherever_a_run_stops_it_goes_on_to_the_same_bits(tmp_path, settings):
    data = {"waves.npy": np.sin(np.arange(270) / 5).reshape(2, 135, 1), "corpus.txt": TEXT[: 71 * 17]}
    histories = []
    for stops in [[24], [8, 22, 24]]:  # within an epoch and at a validation that is the best so far, at the end of one
        folder = tmp_path / str(len(stops))
        folder.mkdir()
        np.save(folder / "waves.npy", data["waves.npy"])
        (folder / "corpus.txt").write_text(data["corpus.txt"])
        changes = {**settings, "data": (str(folder / settings["data"]),), "checkpoint_every": 4, "num_epochs": 9}
        events = trained(folder, max_steps=stops[0], learning_rate_decay_after=1, **changes)
        for stop in stops[1:]:
            resumed(folder, max_steps=stop)
        assert events.of(Started)[0].steps_per_epoch == 11
        histories.append([line for line in read_history(folder / "run") if "loss" in line or not line["step"] % 4])
    assert_same_bits(*(variables(tmp_path / name) for name in ("1", "3")))
    assert histories[0] == histories[1]
    assert variables(tmp_path / "1")["trainer/best_step"] > 8


def test_a_run_keeps_the_last_checkpoints_and_the_best(tmp_path):
    events = trained(tmp_path, max_steps=12, checkpoint_every=2, keep=2, learning_rate=0.0)
    assert {e.best_step for e in events.of(Saved)} == {0, 2}, "nothing was learned: the first is the best"
    assert [e.best for e in events.of(Validated)] == [True, False, False, False, False, False]
    assert checkpoints.complete(tmp_path / "run") == [2, 10, 12]
    names = (tmp_path / "run/checkpoint").read_text().split()
    assert names == [
        "model_checkpoint_path:", '"model.ckpt-12"',
        *(word for step in (2, 10, 12) for word in ("all_model_checkpoint_paths:", f'"model.ckpt-{step}"')),
    ]  # fmt: skip
    again = resumed(tmp_path, max_steps=13)
    assert not again.of(Validated)[0].best, "a resumed run knows what was best"
    assert again.of(Finished)[0].best_step == 2
    for file in (tmp_path / "run").glob("model.ckpt-2.*"):
        file.unlink()
    (ended,) = resumed(tmp_path, max_steps=14).of(Finished)
    assert (ended.best_step, ended.best_loss) == (0, np.inf), "what is not there is not shown as the best"


def test_a_run_learns_and_tells_what_it_does(tmp_path):
    events = trained(tmp_path, max_steps=150, rnn_size=32, learning_rate=0.01, batch_size=5, checkpoint_every=75)
    measured = events.of(Validated)
    assert [e.step for e in measured] == [75, 150]
    assert measured[-1].loss < 1.0 < 2.5 < events.losses()[0]
    assert len(measured[0].sample) == 5
    (started,), (finished,) = events.of(Started), events.of(Finished)
    assert (started.tokens, started.model.input_size) == (2840, 15)
    assert (finished.step, finished.best_step, finished.why) == (150, 150, "all 150 steps are done")


def test_a_run_folder_explains_itself(tmp_path):
    trained(tmp_path)
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"README.md", "history.jsonl", "loss.png", "tensorboard", "checkpoint"} <= files
    assert not [name for name in files if name.startswith(".writing")]
    readme = (tmp_path / "run/README.md").read_text()
    assert "2-layer LSTM of 8 units" in readme
    assert "reprise train --out" in readme
    assert "`corpus.ids`" in readme
    assert (tmp_path / "run/loss.png").read_bytes().startswith(b"\x89PNG")
    assert [p.stat().st_size > 0 for p in (tmp_path / "run/tensorboard").iterdir()] == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path, number):
    from reprise.train import begin, resume

    def interrupt(event):
        if getattr(event, "step", 0) >= 2 and not isinstance(event, (Saved, Finished)):
            signal.raise_signal(number)

    before = signal.getsignal(number)
    finished = begin(config(tmp_path, max_steps=100, checkpoint_every=100), (interrupt,))
    assert (finished.signal, finished.why) == (number, f"{number.name} was received")
    assert checkpoints.complete(tmp_path / "run") == [0, finished.step]
    assert signal.getsignal(number) == before
    assert resume(tmp_path / "run", {"max_steps": finished.step + 1}).step == finished.step + 1


def test_an_exploding_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrainingError, match=r"step \d+: the loss is .* last good checkpoint is .*model.ckpt-\d"):
        trained(tmp_path, max_steps=200, learning_rate=50.0, grad_clip=0.0, checkpoint_every=2)
    values = variables(tmp_path)
    assert all(np.isfinite(v).all() for name, v in values.items() if name != "trainer/best_loss")


def test_a_record_that_cannot_be_written_ends_the_run_and_the_last_checkpoint_is_whole(tmp_path):
    def full(event):
        if getattr(event, "step", 0) >= 4:
            raise OSError(28, "No space left on device")

    from reprise.train import begin

    with pytest.raises(SaveError, match=r"run: the record of the run could not be written .*No space.* --resume"):
        begin(config(tmp_path), (full,))
    assert checkpoints.newest(tmp_path / "run")[0] == 3
    assert len(resumed(tmp_path).losses()) == 3


def test_resuming_refuses_what_would_change_the_numbers(tmp_path):
    trained(tmp_path)
    with pytest.raises(CallError, match=r"--dropout is 0\.5, but the run in .* was started with 0\.0"):
        resumed(tmp_path, dropout=0.5)
    corpus(tmp_path, "another text entirely, " * 100)
    (tmp_path / "run/corpus.ids").unlink()
    with pytest.raises(CallError, match="--resume needs the same data"):
        resumed(tmp_path)


def test_resuming_needs_no_corpus_when_its_ids_lie_in_the_run_folder(tmp_path):
    trained(tmp_path)
    (tmp_path / "corpus.txt").unlink()
    assert len(resumed(tmp_path, max_steps=8).losses()) == 2


def test_a_complete_run_says_what_makes_it_go_on(tmp_path):
    (finished,) = trained(tmp_path, max_steps=5).of(Finished)
    assert (finished.best_step, finished.more) == (5, " --max-steps 10")
    (again,) = resumed(tmp_path).of(Finished)
    assert again.best_loss == finished.best_loss, "an end off the schedule is measured, whether or not it is resumed"
    (done,) = resumed(tmp_path, max_steps=10**6, num_epochs=1).of(Finished)
    assert done.more == " --num-epochs 2"
    readme = (tmp_path / "run/README.md").read_text()
    assert f"reprise train --out {tmp_path / 'run'} --resume --num-epochs 2\n" in readme
    (less,) = resumed(tmp_path, max_steps=5, num_epochs=1).of(Finished)
    assert less.more == f" --max-steps {2 * less.step} --num-epochs 2", "asked for less than there is, it names more"


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    trained(tmp_path)
    with pytest.raises(CallError, match=r"holds a run already.* --resume"):
        trained(tmp_path)
    with pytest.raises(MissingFile, match="no complete checkpoint"):
        resumed(tmp_path / "elsewhere")


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    trained(whole)
    trained(tmp_path)
    data = tmp_path / "run/model.ckpt-6.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    events = resumed(tmp_path)
    (started,) = events.of(Started)
    assert [warning for warning in started.warnings if "passed over" in warning and "model.ckpt-6" in warning]
    assert "resumed exactly after step 3" in started.notes
    assert_same_bits(variables(whole), variables(tmp_path))


def test_a_forecast_trains_on_numbers(tmp_path):
    time_steps = np.arange(600)
    np.save(tmp_path / "waves.npy", np.stack([100 + 10 * np.sin(time_steps / 5), np.cos(time_steps / 5)], 1))
    events = trained(
        tmp_path, data=(str(tmp_path / "waves.npy"),), level="values", rnn_size=16, max_steps=150, learning_rate=0.01
    )
    assert events.losses()[-1] < 0.2 < events.losses()[0]
    readme = (tmp_path / "run/README.md").read_text()
    assert '{"features:0": [[[0.0, 0.0]]]}' in readme
    assert "corpus.ids" not in readme, "numbers are not kept as token ids"
    assert len(resumed(tmp_path, max_steps=152).losses()) == 2


def test_numbers_that_are_trained_on_as_text_are_told(tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text("date,price\n" + "2017-01-02,5.5\n" * 99)
    (started,) = trained(tmp_path, data=(str(table),), max_steps=1).of(Started)
    assert started.warnings[0].endswith(
        "holds rows of numbers (price) and is read as text; --level values forecasts them"
    )
    (started,) = trained(tmp_path, out=str(tmp_path / "prose"), max_steps=1).of(Started)
    assert started.warnings == ()


def test_numbers_that_never_change_are_learned_without_alarm(tmp_path):
    np.save(tmp_path / "flat.npy", np.full(100, 7.5))
    events = trained(tmp_path, data=(str(tmp_path / "flat.npy"),), level="values", val_frac=0.2)
    assert events.losses().tolist() == [0.0] * 6


TRAINER = """
import sys
from reprise.train import TrainConfig, begin, resume
from reprise.train.checkpoints import complete
import json, pathlib
facts = json.loads(sys.argv[1])
if complete(pathlib.Path(facts["out"])):
    resume(facts["out"], {"max_steps": facts["max_steps"]})
else:
    begin(TrainConfig.from_json(facts))
"""


def trainer(settings):
    """A process that trains, from the beginning or from where the last one was killed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", TRAINER, json.dumps(settings.to_json())]
    with (Path(settings.out).parent / "stderr").open("w") as errors:
        return subprocess.Popen(command, env=environment, stderr=errors)


def survived_kills(folder, kills, seed):
    """Kills a run again and again, lets it finish, and gives how many kills came in time, and how many within a write.

    Every second one waits until a checkpoint is being written, the others for any moment after one.
    """
    chance, survived, torn = random.Random(seed), 0, 0
    run, settings = folder / "run", config(folder, max_steps=6 * kills, checkpoint_every=1, dropout=0.2, keep=2)
    for kill in range(kills):
        process, before = trainer(settings), checkpoints.complete(run)
        wait_while(process, lambda before=before: checkpoints.complete(run) in (before, []))
        if kill % 2:
            wait_while(process, lambda: not writing(run))
        else:
            time.sleep(chance.uniform(0, 0.2))
        survived += process.poll() is None
        process.kill()
        process.wait()
        torn += writing(run)
        checkpoints.newest(run)
    finish(settings)
    return survived, torn


def writing(run):
    return any(run.glob(".writing-[0-9]*"))


def wait_while(process, condition):
    while process.poll() is None and condition():
        time.sleep(0.002)


def finish(settings):
    assert trainer(settings).wait() == 0, (Path(settings.out).parent / "stderr").read_text()


def killed_and_whole_agree(folder, kills, seed):
    whole = folder / "whole"
    whole.mkdir()
    finish(config(whole, max_steps=6 * kills, checkpoint_every=1, dropout=0.2, keep=2))
    counts = survived_kills(folder, kills, seed)
    assert_same_bits(variables(whole), variables(folder))
    assert read_history(whole / "run") == read_history(folder / "run")
    return counts


def test_a_run_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    survived, _ = killed_and_whole_agree(tmp_path, kills=2, seed=os.getpid())
    assert survived >= 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_survives_fifty_kills(tmp_path, capsys):
    survived, torn = killed_and_whole_agree(tmp_path, kills=55, seed=1)
    with capsys.disabled():
        sys.stdout.write(f"\nsurvived {survived} kills, {torn} of them while a checkpoint was being written\n")
    assert survived >= 50
    assert torn >= 5
