"""Numbers that do not depend on which tests ran before."""

import numpy as np
import pytest

from tests.lift.translating import RANDOM

FIRST = np.random.default_rng(0).bit_generator.state


@pytest.fixture(autouse=True)
def the_same_numbers():
    """Each test draws from the start of the same sequence."""
    RANDOM.bit_generator.state = FIRST
