import numpy as np
import pytest

from reprise.errors import CallError, VerificationError
from reprise.verify import check_steps, compare
from tests.export.models import WEIGHTS, model


def test_a_model_equals_itself_over_every_start():
    report = compare(model(), model(), steps=5)
    assert report.equal
    calls = {"zero": 5, "random": 5, "whole": 1, "zero alone": 1, "random alone": 1}
    assert {start: len(errors) for start, errors in report.errors.items()} == calls
    assert f"the same numbers over 5 carried steps of 2 rows ({', '.join(calls)})" in str(report)


def test_state_that_is_dropped_shows_after_the_first_step():
    """The error that a check of one step from zeros cannot see."""
    report = compare(model(), model(drop_state=True), steps=4)
    assert report.errors["zero"][0] == 0
    assert report.errors["zero"][1] > 0.01
    with pytest.raises(
        VerificationError, match=r"differ first at step 2 from zero state, in 'logits': at \[\d, 0, \d\]"
    ):
        report.raise_if_different()


@pytest.mark.parametrize("weight", WEIGHTS)
def test_any_changed_weight_shows(weight):
    other = np.random.default_rng(9).normal(size=WEIGHTS[weight]).astype(np.float32)
    assert not compare(model(), model(changed={weight: other}), steps=3).equal


def test_another_first_state_shows_from_zero_state_only():
    report = compare(model(), model(initial="file"), steps=2)
    assert report.errors["zero"][0] > 0.01
    assert report.errors["random"] == (0.0, 0.0)


def test_not_a_number_differs_from_a_number():
    broken = np.full(WEIGHTS["O"], np.nan, np.float32)
    report = compare(model(), model(changed={"O": broken}), steps=1)
    assert report.first is not None
    assert report.first.error == np.inf
    assert compare(model(changed={"O": broken}), model(changed={"O": broken}), steps=1).equal


def test_models_of_other_ports_are_not_compared():
    class Renamed:
        vocabulary = None
        interface = model().interface.__class__(
            (),
            *[
                getattr(model().interface, n)
                for n in ("outputs", "states", "settings", "steppable", "why_not", "evidence")
            ],
        )

    with pytest.raises(VerificationError, match="input 'ids' is int32 of 2 axes in the first and absent in the second"):
        compare(model(), Renamed())


def test_no_steps_compare_nothing_and_seeds_start_from_0():
    with pytest.raises(CallError, match="steps: expected at least 1, found 0"):
        compare(model(), model(), steps=0)
    with pytest.raises(CallError, match=r"seed: expected a whole number from 0, found -1"):
        compare(model(), model(), seed=-1)


def test_two_models_that_lose_the_same_state_are_not_equal():
    """Neither differs from the other; what gives them away is that no step of theirs hands anything on."""
    report = compare(model(drop_state=True), model(drop_state=True), steps=4)
    assert report.errors["whole"] == (0.0,)
    with pytest.raises(
        VerificationError,
        match=r"single steps and one run of the model differ first at step 4 from zero state, in 'logits': at ",
    ):
        report.raise_if_different()


def test_a_state_that_no_step_moves_is_refused():
    held = np.zeros(WEIGHTS["R"], np.float32)
    still = model(changed={"R": held}, still=True)
    report = check_steps(still, steps=3)
    assert report.errors["zero alone"] == (0.0,)
    assert "from random state, in 'h': no step changes it" in str(report)


def test_what_cannot_be_stepped_has_no_steps_to_check():
    report = check_steps(model(steppable=False))
    assert report.equal
    assert report.errors == {}
