import pytest

from reprise.train import learner


@pytest.fixture(scope="session", autouse=True)
def without_xla():
    """XLA takes seconds to begin with; the tests of its numbers turn it on again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "XLA", False)
        yield
