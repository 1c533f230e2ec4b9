import numpy as np
import pytest

from reprise.errors import CallError
from tests.export.models import model
from tests.lift.loops import Loop


def small(seed):
    loop = Loop(seed)
    return loop.models(loop.rnn(loop.x))[0]


def test_models_of_other_numbers_have_other_fingerprints():
    assert small(0).fingerprint == small(0).fingerprint
    assert small(0).fingerprint != small(1).fingerprint


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_an_empty_call_is_an_error(shape):
    with pytest.raises(CallError, match=r"input 'ids': is empty, of shape .*; give at least one row and one step"):
        model().run(np.zeros(shape, np.int32))


@pytest.mark.parametrize("one", [np.int32(3), np.zeros((1, 1), np.int32)])
def test_a_step_of_another_rank_is_an_error(one):
    with pytest.raises(CallError, match=r"input 'ids': expected shape \[any\] for one step, found"):
        model().step(one)


def test_steps_are_a_run():
    ids = np.array([[1, 4, 2], [0, 6, 3]])
    whole, after = model().run(ids)
    state, rows = None, []
    for t in range(3):
        outputs, state = model().step(ids[:, t], state)
        rows.append(outputs["logits"])
    np.testing.assert_allclose(np.stack(rows, 1), whole["logits"], atol=1e-6)
    np.testing.assert_allclose(state["h"], after["h"], atol=1e-6)
