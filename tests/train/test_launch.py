import signal

import pytest

from reprise.errors import TrainingError
from reprise.train import launch

ENDED, KILLED = -signal.SIGTERM, -signal.SIGKILL


@pytest.mark.parametrize(
    ("codes", "passed", "code"),
    [
        ({0: 0, 1: 0}, [], 0),
        ({1: 130, 0: 130}, [signal.SIGINT], 130),
        ({1: -signal.SIGUSR1, 0: -signal.SIGUSR1}, [signal.SIGUSR1], 138),
        ({0: 1, 1: ENDED}, [signal.SIGTERM], 1),
    ],
    ids=["done", "saved", "before the run began", "the first had an error, and told it"],
)
def test_the_exit_code_is_that_of_the_first_worker(tmp_path, codes, passed, code):
    assert launch._judged(codes, passed, tmp_path) == code


@pytest.mark.parametrize(
    ("codes", "what"),
    [
        ({0: 1, 1: KILLED}, r"worker 1 was lost \(signal 9\)"),
        ({1: 1, 0: ENDED}, r"worker 1 ended with an error \(exit code 1\)"),
    ],
)
def test_a_worker_that_ends_the_others_is_told_of(tmp_path, codes, what):
    with pytest.raises(TrainingError, match=rf"{what} and the run ended\. It came to no checkpoint: start it again\."):
        launch._judged(codes, [signal.SIGTERM], tmp_path)
    (tmp_path / "model.ckpt-0.meta").touch()
    with pytest.raises(TrainingError, match=r"go on by --resume, .* What the workers said is in .*/worker-\*\.log"):
        launch._judged(codes, [signal.SIGTERM], tmp_path)
