import signal
import subprocess
import sys
import time

from reprise.train import checkpoints
from tests.train.small import corpus

SMALL = "--rnn-size 8 --embedding-size 5 --seq-length 6 --batch-size 3 --checkpoint-every 4 --sample-length 5".split()


def reprise(*arguments):
    command = [sys.executable, "-m", "reprise", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_control_c_saves_and_leaves_and_resume_goes_on(tmp_path):
    run = tmp_path / "run"
    process = reprise("train", corpus(tmp_path), "--out", run, *SMALL, "--max-steps", 10**6, "--num-epochs", 10**6)
    while process.poll() is None and checkpoints.complete(run)[-1:] in ([], [0]):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "SIGINT was received" in errors
    assert f"reprise train --out {run} --resume" in errors
    assert out == "", "standard output is for text"
    step = checkpoints.complete(run)[-1]
    assert f"after step {step:,}" in errors

    process = reprise("train", "--out", run, "--resume", "--max-steps", step + 2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"resumed exactly after step {step}" in errors
    assert checkpoints.complete(run)[-1] == step + 2


def test_a_wrong_call_is_refused_before_tensorflow_loads(tmp_path):
    program = "import sys; from reprise.cli import main\ntry:\n main()\nfinally:\n print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", program, "train", "nothing.txt", "--out", str(tmp_path), "--rnn-size", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "reprise: --rnn-size is 0; expected a number from 1 to 65536\n"
    assert done.stdout == "False\n"


def test_control_c_before_the_first_step_says_that_nothing_was_begun(tmp_path):
    run = tmp_path / "run"
    process = reprise("train", corpus(tmp_path), "--out", run, *SMALL)
    while not run.exists():
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted before the first step: nothing was begun\n")
    assert not run.exists()
