import signal
from collections.abc import Iterator

import pytest

from reprise.train import learner


@pytest.fixture(scope="session", autouse=True)
def without_xla():
    """XLA takes seconds to begin with; the tests of its numbers turn it on again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "XLA", False)
        yield


@pytest.fixture(autouse=True)
def a_terminal_that_may_close() -> Iterator[None]:
    """SIGHUP is not ignored, as it is where the tests themselves run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
