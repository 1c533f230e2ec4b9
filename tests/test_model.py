from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reprise.errors import CallError, DamagedFile
from reprise.formats import StoredModel
from reprise.inputs import fitting, named_shape, own_start, raised
from reprise.interface import Port, StatePort
from reprise.model import RecurrentModel
from tests.export.models import first_states, model
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
    with pytest.raises(CallError, match=r"input 'ids': expected shape \[N\] \(batch\) for one step, found"):
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


def test_threads_share_a_model_each_with_its_own_state():
    shared, ids = model(), np.random.default_rng(0).integers(0, 7, (16, 1, 40))

    def session(row):
        state, last = shared.initial_state(), None
        for k in range(row.shape[1]):
            outputs, state = shared.step(row[:, k], state)
            last = outputs["logits"]
        return last

    alone = [session(row) for row in ids]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(session, ids))
    np.testing.assert_array_equal(alone, together)


def test_a_state_as_large_as_only_a_file_says_is_not_made():
    lifted = model().lifted
    state = replace(lifted.interface.states[0], shape=(None, 2**31 - 1))
    large = replace(lifted, interface=replace(lifted.interface, states=(state,)))
    tried = RecurrentModel(StoredModel(Path("by hand"), "hand", "", None), lambda _: large, first_states, None)
    with pytest.raises(
        DamagedFile, match=r"state 'h' of shape \[None, 2147483647\]: 2147483647 are asked for, at most"
    ):
        tried.initial_state(2)


def test_first_values_of_another_shape_than_the_state_are_damage():
    port = StatePort("h", None, None, None, "float32", (None, 5), 0, "file")
    with pytest.raises(DamagedFile, match=r"state 'h' of shape \[2, 5\] starts from values of shape \[1, 6\]"):
        own_start(port, np.zeros((1, 6), np.float32), 2)


def test_ids_are_taken_where_vectors_are_wanted():
    port = Port("x", "x:0", "float32", (None, None, 5), 1, 0, "one-hot")
    np.testing.assert_array_equal(fitting(port, np.array([[1, 4]])), [np.eye(5, dtype=np.float32)[[1, 4]]])
    np.testing.assert_array_equal(fitting(port, raised(port, np.array([3]))), [[np.eye(5)[3]]])
    with pytest.raises(CallError, match="expected ids from 0 to 4, found 1 to 5"):
        fitting(port, np.array([[1, 5]]))
    with pytest.raises(CallError, match=r"expected shape \[N, T, 5\] \(batch, time, symbols\), found \[2\]"):
        fitting(port, np.zeros(2))
    assert named_shape(port, step=True) == "[N, 5] (batch, symbols)"


def test_a_notebook_shows_an_interface_as_a_table():
    page = model()._repr_html_()
    assert page.startswith("<p>")
    assert "<td style='text-align:left'>logits</td>" in page
