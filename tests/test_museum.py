"""The law of carried state over every saved model of a museum that lies beside the repository, where one does."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

import reprise
from reprise import verify
from reprise.engines import NUMPY, ONNX_RUNTIME
from reprise.errors import CallError, RepriseError
from tests.test_engines import largest_difference

ITEMS = Path(__file__).resolve().parents[2] / "shared" / "museum" / "items"
#: What the formats of files are called whose graphs TensorFlow 1 wrote: none of them may be refused.
GRAPHS = ("frozen-graph", "saved-model-v1", "tf1-checkpoint-v1+meta", "tf1-checkpoint-v2+meta")


def items():
    found = sorted(about.parent for about in ITEMS.glob("*/about.json"))
    absent = pytest.mark.skip(f"no saved models in {ITEMS}")
    return [pytest.param(f, id=f.name) for f in found] or [pytest.param(None, id="none", marks=absent)]


@pytest.mark.filterwarnings("ignore:.*(the weights are read as|taken for granted)")
@pytest.mark.parametrize("folder", items())
def test_a_model_that_can_be_stepped_carries_its_state(folder):
    """T single steps are one run of T, from its own first state and from random state, and every state moves."""
    about = json.loads((folder / "about.json").read_text())
    model = None
    with suppress(*() if about["format"].startswith(GRAPHS) else (RepriseError,)):
        model = reprise.restore(folder / about["path"])
    if model is not None:
        verify.check_steps(model, steps=6).raise_if_different()
        with suppress(CallError):  # it is no stack of layers
            assert largest_difference(model.with_engine(NUMPY), model.with_engine(ONNX_RUNTIME), steps=256) < 1e-4
