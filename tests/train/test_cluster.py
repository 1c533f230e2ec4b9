import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import CallError
from reprise.train import TrainConfig, checkpoints
from reprise.train.cluster import Cluster
from reprise.train.history import read_history
from tests.train.ports import free_ports
from tests.train.small import corpus, resumed, trained

SMALL = "--rnn-size 8 --embedding-size 5 --seq-length 6 --batch-size 2 --dropout 0.2 --sample-length 5".split()


def two_workers(folder, *options):
    command = [sys.executable, "-m", "reprise", "train", "--out", str(folder / "run"), "--workers", "2", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def losses(folder):
    return [line["loss"] for line in read_history(folder / "run") if "loss" in line]


def children(process):
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in listed]


def test_two_workers_are_one_with_twice_the_streams_and_a_lost_one_ends_the_run(tmp_path):
    both, alone = tmp_path / "both", tmp_path / "alone"
    for folder in (both, alone):
        folder.mkdir()
        corpus(folder)
    steps = ["--checkpoint-every", "5", "--num-epochs", "1000000"]
    process = two_workers(both, str(both / "corpus.txt"), *SMALL, *steps)
    while process.poll() is None and len(checkpoints.complete(both / "run")) < 3:
        time.sleep(0.05)
    os.kill(children(process)[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "worker 1 was lost" in errors.splitlines()[-1]
    assert "go on by --resume, with the same --workers or another" in errors.splitlines()[-1]

    before = losses(both)[: checkpoints.newest(both / "run")[0]]
    notes = resumed(both, max_steps=len(before) + 4, num_epochs=10**6)[0].notes
    assert "with 1 workers instead of 2" in notes[-1]
    trained(
        alone,
        batch_size=4,
        max_steps=len(before) + 4,
        num_epochs=10**6,
        checkpoint_every=5,
        dropout=0.2,
    )
    np.testing.assert_allclose(losses(both), losses(alone), atol=1e-5)
    ours, theirs = (checkpoints.newest(folder / "run")[1].values for folder in (both, alone))
    assert ours["trainer/state/layer0.c"].shape == (4, 8)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-4, err_msg=name)


def started_by_hand(folder, *options_of_each):
    """A process for each worker, as Kubernetes or Slurm starts them: connected by TF_CONFIG alone."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(options_of_each))]
    command = [sys.executable, "-m", "reprise", "train", "--out", str(folder / "run"), "-q"]
    return [
        subprocess.Popen(
            [*command, *options],
            env={**os.environ, "TF_CONFIG": config_of(addresses, k)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for k, options in enumerate(options_of_each)
    ]


def config_of(addresses, place):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": place}})


def test_workers_started_by_hand_end_when_one_is_lost_and_go_on_with_any_number(tmp_path):
    options = [str(corpus(tmp_path)), *SMALL, "--checkpoint-every", "5", "--num-epochs", "1000000"]
    first, second = started_by_hand(tmp_path, options, options)
    while first.poll() is None and len(checkpoints.complete(tmp_path / "run")) < 3:
        time.sleep(0.05)
    second.kill()
    second.communicate()
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 1, errors
    assert "a worker was lost or cannot be reached" in errors.splitlines()[-1]
    assert "go on by --resume, with the same number of workers or another" in errors.splitlines()[-1]

    last, _, wrong = checkpoints.newest(tmp_path / "run")
    assert not wrong, "the last checkpoint is whole"
    again = ["--resume", "--max-steps", str(last + 4)]
    for process in started_by_hand(tmp_path, again, again):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert checkpoints.newest(tmp_path / "run")[0] == last + 4
    assert "with 1 workers instead of 2" in resumed(tmp_path, max_steps=last + 6)[0].notes[-1]


def test_workers_that_were_not_started_for_the_same_run_are_refused(tmp_path):
    options = [str(corpus(tmp_path)), *SMALL]
    processes = started_by_hand(tmp_path, options, [*options, "--learning-rate", "0.01"])
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], said
    assert "the options of workers [1] differ from the first's" in "".join(said)
    assert not checkpoints.complete(tmp_path / "run")


def test_the_streams_of_a_run_are_shared_equally_or_not_at_all():
    config = TrainConfig(("a",), "run", batch_size=6, workers=2)
    assert (config.shared_by(3).batch_size, config.shared_by(1).batch_size) == (4, 12)
    with pytest.raises(CallError, match="--workers is 5; the run has 12 streams"):
        config.shared_by(5)


@pytest.mark.parametrize(
    "setting", ["", json.dumps({"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}})]
)
def test_without_a_cluster_a_process_is_alone(monkeypatch, setting):
    monkeypatch.setenv("TF_CONFIG", setting)
    cluster = Cluster.of_environment()
    assert (cluster.workers, cluster.is_first, cluster.total([3.0]), cluster.mean([1, 2])) == (1, True, [3.0], [1, 2])


@pytest.mark.parametrize(
    "setting", ["not json", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 7}})]
)
def test_a_wrong_tf_config_is_refused(monkeypatch, setting):
    monkeypatch.setenv("TF_CONFIG", setting)
    with pytest.raises(CallError, match=r"TF_CONFIG: .*expected a cluster of workers"):
        Cluster.of_environment()


IMPATIENT = """
from reprise.train import cluster
cluster.CONNECTING_S = 2.0
cluster.Cluster.of_environment()
"""


@pytest.mark.parametrize("place", [0, 1])
def test_a_worker_that_met_the_others_and_is_lost_before_all_are_connected_ends_them_soon(place):
    (here,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it listens, and then says nothing
        addresses = [f"127.0.0.1:{here}", f"127.0.0.1:{mute.getsockname()[1]}"]
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT],
            env={**os.environ, "TF_CONFIG": config_of(addresses if place == 0 else addresses[::-1], place)},
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert (
        "TrainingError: the workers met, and could not all connect within 2 s (DeadlineExceededError: " in done.stderr
    )


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_end_with_the_process_that_launched_them_even_if_it_was_killed(tmp_path):
    launcher = two_workers(tmp_path, str(corpus(tmp_path)), *SMALL, "--num-epochs", "1000000")
    while launcher.poll() is None and len(children(launcher)) < 2:
        time.sleep(0.01)
    workers = children(launcher)
    launcher.kill()
    launcher.communicate(timeout=60)
    end = time.monotonic() + 60
    while any(map(lives, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(lives, workers))


def test_a_worker_that_is_lost_at_the_start_takes_the_others_with_it(tmp_path):
    launcher = two_workers(tmp_path, str(corpus(tmp_path)), *SMALL, "--num-epochs", "1000000")
    while launcher.poll() is None and len(children(launcher)) < 2:
        time.sleep(0.01)
    os.kill(children(launcher)[1], signal.SIGKILL)
    _, errors = launcher.communicate(timeout=30)
    assert launcher.returncode == 1
    assert "worker 1 was lost (signal 9) and the run ended. It came to no checkpoint: start it again." in errors


def state(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def saves_more(launcher, folder):
    before = len(losses(folder))
    while launcher.poll() is None and len(losses(folder)) <= before:
        time.sleep(0.05)
    return launcher.poll() is None


def stopped_and_gone_on(launcher, folder, seconds):
    """Whether a launcher and its workers stop by Ctrl-Z, and go on after so many seconds."""
    assert saves_more(launcher, folder)
    launcher.send_signal(signal.SIGTSTP)
    while {state(process) for process in (launcher.pid, *children(launcher))} != {"T"}:
        time.sleep(0.01)
    before = len(losses(folder))
    time.sleep(seconds)
    assert len(losses(folder)) == before
    launcher.send_signal(signal.SIGCONT)
    return saves_more(launcher, folder)


@pytest.mark.parametrize("seconds", [0.5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_all_workers_stop_and_go_on_with_the_launcher_and_are_saved_by_a_signal(tmp_path, seconds):
    launcher = two_workers(tmp_path, str(corpus(tmp_path)), *SMALL, "--num-epochs", "1000000")
    assert stopped_and_gone_on(launcher, tmp_path, seconds)
    launcher.send_signal(signal.SIGINT)
    _, errors = launcher.communicate(timeout=120)
    assert launcher.returncode == 128 + signal.SIGINT, errors
    assert "SIGINT was received" in errors
    assert checkpoints.newest(tmp_path / "run")[0] == len(losses(tmp_path))
