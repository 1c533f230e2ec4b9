import numpy as np
import pytest

from reprise.errors import CallError, VerificationError
from reprise.verify import compare
from tests.export.models import WEIGHTS, model


def test_a_model_equals_itself_over_every_start():
    report = compare(model(), model(), steps=5)
    assert report.equal
    assert {start: len(errors) for start, errors in report.errors.items()} == {"zero": 5, "random": 5, "whole": 1}
    assert "equal over 5 carried steps of 2 rows (zero, random, whole)" in str(report)


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


def test_no_steps_compare_nothing():
    with pytest.raises(CallError, match="steps: expected at least 1, found 0"):
        compare(model(), model(), steps=0)
