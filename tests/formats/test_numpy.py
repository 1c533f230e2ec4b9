"""Weights of NumPy programs: min-char-rnn and its kin, in archives and pickles, and what must be said of others."""

import pickle

import numpy as np
import pytest

import reprise
from reprise.errors import CallError, DamagedFile, DiscoveryError
from tests.formats.contract import FormatContract
from tests.formats.test_pytorch import numbers

D, H, V = 5, 4, 6


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def min_char_rnn():
    """Column vectors, as in the program: h = tanh(Wxh·x + Whh·h + bh), y = Why·h + by."""
    shapes = {"Wxh": (H, V), "Whh": (H, H), "Why": (V, H), "bh": (H, 1), "by": (V, 1)}
    return {name: numbers(*shape, seed=k).astype("float64") for k, (name, shape) in enumerate(shapes.items())}


def assert_same(model, step, states, width):
    """Many carried steps from a random state."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 8, width)).astype("float32")
    before = [rng.normal(size=(3, H)).astype("float32") for _ in range(states)]
    names = [s.name for s in model.interface.states]
    state = model.initial_state(3).replace(dict(zip(names, before, strict=True)))
    outputs, last = model.run(x, state)
    (found,) = outputs.values()
    for t in range(8):
        y, before = step(x[:, t], before)
        np.testing.assert_allclose(found[:, t], y, rtol=1e-4, atol=1e-5)
    for name, wanted in zip(names, before, strict=True):
        np.testing.assert_allclose(last[name], wanted, rtol=1e-4, atol=1e-5)


def rnn_step(w):
    def step(x, states):
        h = np.tanh(x @ w["Wxh"].T + states[0] @ w["Whh"].T + w["bh"].ravel())
        return h @ w["Why"].T + w["by"].ravel(), [h]

    return step


SAVED = {
    "an archive": lambda w, path: np.savez(path, **w),
    "an archive with what training keeps": lambda w, path: np.savez(
        path, **w, **{f"m{n}": np.ones_like(a) for n, a in w.items()}, hprev=np.zeros((H, 1)), smooth_loss=3.0
    ),
    "a dict": lambda w, path: path.write_bytes(pickle.dumps(w)),
    "a dict of Python 2's protocol": lambda w, path: path.write_bytes(pickle.dumps(w, 0)),
    "a tuple": lambda w, path: path.write_bytes(pickle.dumps(tuple(w.values()))),
    "one after the other": lambda w, path: path.write_bytes(b"".join(map(pickle.dumps, w.values()))),
    "a dict in a dict": lambda w, path: path.write_bytes(pickle.dumps({"params": w, "iteration": 3})),
}


@pytest.mark.parametrize("saved", SAVED)
def test_min_char_rnn_is_read_however_it_was_saved(tmp_path, saved):
    w, path = min_char_rnn(), tmp_path / ("m.npz" if "archive" in saved else "m.bin")
    SAVED[saved](w, path)
    model = reprise.restore(path)
    assert_same(model, rnn_step(w), 1, V)
    assert "taken for a RNN with tanh" in model.stored.notes[0]


@pytest.mark.filterwarnings("error")
def test_damaged_weights_that_are_no_numbers_are_read_without_a_warning(tmp_path):
    w = min_char_rnn()
    w["Why"] = np.full(w["Why"].shape, 0x7FF0000000000001, np.uint64).view(np.float64)  # signalling NaN
    np.savez(tmp_path / "m.npz", **w)
    outputs, _ = reprise.restore(tmp_path / "m.npz").step(np.zeros((1, V), np.float32))
    assert np.isnan(next(iter(outputs.values()))).all()


@pytest.mark.parametrize("kind", ["npz", "pkl"])
def test_its_table_of_symbols_is_the_vocabulary(tmp_path, kind):
    table = {s: k for k, s in enumerate("fbdace")}
    held = {**min_char_rnn(), "char_to_ix": table, "ix_to_char": {k: s for s, k in table.items()}}
    if kind == "npz":
        np.savez(tmp_path / "m.npz", **held, chars=list(table))
    else:
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(held))
    model = reprise.restore(tmp_path / f"m.{kind}")
    assert model.vocabulary.symbols == tuple("fbdace")
    assert set(model.sample(20, seed=1)) <= set("abcdef")


def lstm(transposed=True):
    """A matrix for each gate, for state and input together, and a head."""
    w = {f"W_{g}": numbers(H, H + D, seed=k) for k, g in enumerate("fiCo")} | {"W_v": numbers(V, H)}
    w |= {f"b_{g}": numbers(H, 1, seed=9 + k) for k, g in enumerate("fiCo")} | {"b_v": numbers(V, 1)}
    return w if transposed else {n: a.T for n, a in w.items()}


def lstm_step(w, first):
    def step(x, states):
        h, c = states
        z = np.concatenate([h, x] if first == "state" else [x, h], 1)
        f, i, g, o = (z @ w[f"W_{k}"].T + w[f"b_{k}"].ravel() for k in "fiCo")
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h @ w["W_v"].T + w["b_v"].ravel(), [h, c]

    return step


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("first", ["state", "input"])
def test_matrices_for_state_and_input_together_need_their_order(tmp_path, first, transposed):
    np.savez(tmp_path / "m.npz", **lstm(transposed))
    with pytest.raises(DiscoveryError, match=r"whether the state or the input is first .* --cell first=state\|input"):
        reprise.restore(tmp_path / "m.npz")
    assert_same(reprise.restore(tmp_path / "m.npz", cell={"first": first}), lstm_step(lstm(), first), 2, D)


@pytest.mark.parametrize(("reset", "update"), [("before", "state"), ("after", "candidate")])
def test_the_two_forms_of_a_gru_are_asked_for(tmp_path, reset, update):
    w = {
        f"{m}{g}": numbers(D if m == "W" else H, H, seed=k)
        for k, (m, g) in enumerate(f"{m}{g}" for m in "WU" for g in "zrh")
    }
    w |= {f"b{g}": numbers(1, H, seed=20 + k) for k, g in enumerate("zrh")}
    np.savez(tmp_path / "m.npz", **w)

    def step(x, states):
        (h,) = states
        z, r = (sigmoid(x @ w[f"W{g}"] + h @ w[f"U{g}"] + w[f"b{g}"]) for g in "zr")
        inner = (r * h) @ w["Uh"] if reset == "before" else r * (h @ w["Uh"])
        candidate = np.tanh(x @ w["Wh"] + inner + w["bh"])
        h = z * h + (1 - z) * candidate if update == "state" else (1 - z) * h + z * candidate
        return h, [h]

    with pytest.raises(DiscoveryError, match=r"a GRU's reset gate .* --cell reset=before\|after"):
        reprise.restore(tmp_path / "m.npz")
    with pytest.raises(DiscoveryError, match=r"update gate .* --cell update=state\|candidate"):
        reprise.restore(tmp_path / "m.npz", cell={"reset": reset})
    assert_same(reprise.restore(tmp_path / "m.npz", cell={"reset": reset, "update": update}), step, 1, D)


@pytest.mark.parametrize(
    "names", [("Wx", "Wh", "b"), ("kernel", "recurrent_kernel", "bias"), ("arr_0", "arr_1", "arr_2")]
)
def test_the_order_of_joined_gates_is_asked_for(tmp_path, names):
    arrays = numbers(D, 4 * H), numbers(H, 4 * H, seed=1), numbers(4 * H, seed=2)
    held = dict(zip(names, arrays, strict=True)) | (
        {"arr_3": numbers(H, V), "arr_4": numbers(V)} if names[0] == "arr_0" else {}
    )
    np.savez(tmp_path / "m.npz", **held)

    def step(x, states):
        h, c = states
        o, i, g, f = np.split(x @ arrays[0] + h @ arrays[1] + arrays[2], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h @ held["arr_3"] + held["arr_4"] if "arr_3" in held else h), [h, c]

    with pytest.raises(DiscoveryError, match=r"the order of the gates in \w+ is open\. Say it: --cell order=ifoc"):
        reprise.restore(tmp_path / "m.npz")
    assert_same(reprise.restore(tmp_path / "m.npz", cell={"order": "oicf"}), step, 2, D)


def test_the_side_of_square_matrices_is_asked_for(tmp_path):
    w = {"Wxh": numbers(H, H), "Whh": numbers(H, H, seed=1), "bh": numbers(H)}
    np.savez(tmp_path / "m.npz", **w)
    with pytest.raises(DiscoveryError, match=r"whether W·x or x·W is computed is open"):
        reprise.restore(tmp_path / "m.npz")

    def step(x, states):
        h = np.tanh(x @ w["Wxh"] + states[0] @ w["Whh"] + w["bh"])
        return h, [h]

    assert_same(reprise.restore(tmp_path / "m.npz", cell={"transposed": False}), step, 1, H)


def test_a_state_dict_of_pytorch_is_one_here_too(tmp_path):
    shapes = {"rnn.weight_ih_l0": (4 * H, D), "rnn.weight_hh_l0": (4 * H, H), "out.weight": (V, H), "out.bias": (V,)}
    np.savez(tmp_path / "m.npz", **{n: numbers(*s, seed=k) for k, (n, s) in enumerate(shapes.items())})
    assert [s.name for s in reprise.restore(tmp_path / "m.npz").interface.states] == ["rnn.h", "rnn.c"]


@pytest.mark.parametrize(
    ("changes", "cell", "error", "words"),
    [
        (
            {"Wxh2": np.ones((3, 3))},
            {},
            DiscoveryError,
            r"1 matrices cannot be placed with certainty beside the RNN: wxh2",
        ),
        ({"Whh": np.ones((H, 3))}, {}, DiscoveryError, r"whh of shape \[4, 3\] is not that of any LSTM, GRU or RNN"),
        ({"Why": np.ones((V, 3))}, {}, DiscoveryError, r"the shapes of its matrices contradict each other"),
        ({"Whh": None, "Wxh": None}, {}, DiscoveryError, r"no weights of a cell are among them"),
        ({}, {"gates": 3}, CallError, r"cell: gates is not known; of these weights, say first, reset, update"),
        ({}, {"reset": "never"}, CallError, r"cell: reset is 'never'; expected one of before, after"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path, changes, cell, error, words):
    held = {n: a for n, a in {**min_char_rnn(), **changes}.items() if a is not None}
    np.savez(tmp_path / "m.npz", **held)
    with pytest.raises(error, match=words):
        reprise.restore(tmp_path / "m.npz", cell=cell or None)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_what_is_pickled_in_an_archive_is_not_run(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", **min_char_rnn(), evil=np.array([Evil()], object))
    reprise.restore(tmp_path / "m.npz")
    assert capsys.readouterr().out == ""


def test_a_changed_archive_is_damage(tmp_path):
    np.savez(tmp_path / "m.npz", **min_char_rnn())
    data = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(data.replace(b"<f8", b"<m8"))
    with pytest.raises(DamagedFile, match=r"m\.npz: "):
        reprise.restore(tmp_path / "m.npz")


class TestNumPyWeights(FormatContract):
    name = "NumPy weights"

    @classmethod
    def write(cls, folder):
        np.savez(folder / "m.npz", **min_char_rnn(), char_to_ix={s: k for k, s in enumerate("abcdef")})
        return folder / "m.npz"
