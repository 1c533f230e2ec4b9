"""State dicts of PyTorch: what names and shapes decide, and what they leave open."""

import os
import pickle
import zipfile

import numpy as np
import pytest

import reprise
from reprise import cells, formats
from reprise.errors import AmbiguousFormat, DamagedFile, DiscoveryError, UnknownFormat
from reprise.formats import identify
from tests.formats.contract import FormatContract
from tests.formats.torch_files import save

D, H, V = 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def numbers(*shape, seed=0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * 0.7).astype(np.float32)


def recurrent(kind, inputs=D, layers=1, name="net", directions=1, cell=False):
    rows, held = GATES[kind] * H, {}
    for layer in range(layers):
        for end in ("", "_reverse")[:directions]:
            last = "" if cell else f"_l{layer}{end}"
            width = inputs if layer == 0 else H * directions
            held |= {
                f"{name}.weight_ih{last}": numbers(rows, width, seed=layer),
                f"{name}.weight_hh{last}": numbers(rows, H, seed=layer + 7),
                f"{name}.bias_ih{last}": numbers(rows, seed=layer + 9),
                f"{name}.bias_hh{last}": numbers(rows, seed=layer + 11),
            }
    return held


class TestContract(FormatContract):
    name = "PyTorch"

    @classmethod
    def write(cls, folder):
        return save(folder / "m.pt", recurrent("LSTM"))


def reference(kind, state, x, first):
    """One layer by the equations of `reprise.cells`: x [N, T, D] → outputs [N, T, H], and the last states."""
    layout = next(entry for entry in cells.LAYOUTS if entry.framework == f"PyTorch {kind}")

    def by_gate(name):
        return cells.divide_gates(state[f"net.{name}_l0"].T, layout.order)

    weights = cells.Weights(*(by_gate(n) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    outputs, carried = [], first
    for t in range(x.shape[1]):
        carried = layout.cell.step(x[:, t], carried, weights, layout.cell.activations)
        outputs.append(carried["h"])
    return np.stack(outputs, 1), carried


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_computes_what_its_equations_say(tmp_path, kind, legacy):
    state = recurrent(kind)
    model = reprise.restore(save(tmp_path / "m.pt", state, legacy))
    x, kinds = numbers(2, 5, D, seed=3), ("h", "c") if kind == "LSTM" else ("h",)
    first = {k: numbers(2, H, seed=i) for i, k in enumerate(kinds)}
    given = model.initial_state(2).replace({f"net.{k}": a[None] for k, a in first.items()})
    found, after = model.run(x, given)
    wanted, last = reference(kind, state, x, first)
    np.testing.assert_allclose(found["hidden"], wanted, rtol=1e-4, atol=1e-5)
    for k in kinds:
        np.testing.assert_allclose(after[f"net.{k}"][0], last[k], rtol=1e-4, atol=1e-5)


def test_layers_lie_on_each_other_and_their_states_are_one_tensor(tmp_path):
    model = reprise.restore(save(tmp_path / "m.pt", recurrent("LSTM", layers=3)))
    assert [(s.name, s.shape) for s in model.interface.states] == [("net.h", (3, None, H)), ("net.c", (3, None, H))]
    assert model.interface.steppable


@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_with_a_projection_computes_what_its_equations_say(tmp_path, layers):
    state, size = {}, 2
    for k in range(layers):
        rows = {"weight_ih": (4 * H, D if k == 0 else size), "weight_hh": (4 * H, size), "weight_hr": (size, H)}
        rows |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        state |= {f"net.{name}_l{k}": numbers(*shape, seed=k + len(name)) for name, shape in rows.items()}
    model = reprise.restore(save(tmp_path / "m.pt", state))
    h, c = numbers(layers, 2, size, seed=5), numbers(layers, 2, H, seed=6)
    carried = model.initial_state(2).replace({"net.h": h, "net.c": c})
    for step in range(5):
        x = numbers(2, D, seed=step)
        answer, carried = model.step(x, carried)
        for k in range(layers):
            gates = x @ state[f"net.weight_ih_l{k}"].T + h[k] @ state[f"net.weight_hh_l{k}"].T
            i, f, g, o = np.split(gates + state[f"net.bias_ih_l{k}"] + state[f"net.bias_hh_l{k}"], 4, axis=1)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c[k] = f * c[k] + i * np.tanh(g)
            h[k] = x = (o * np.tanh(c[k])) @ state[f"net.weight_hr_l{k}"].T
        np.testing.assert_allclose(answer["hidden"], x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(carried["net.h"], h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(carried["net.c"], c, rtol=1e-4, atol=1e-5)


def test_a_projection_of_other_sizes_is_refused_in_words(tmp_path):
    state = recurrent("LSTM") | {"net.weight_hr_l0": numbers(2, H)}
    with pytest.raises(DiscoveryError, match=r"weight_hh_l0 of net: expected shape \[\d+, 2\], found"):
        reprise.restore(save(tmp_path / "m.pt", state))


def test_one_of_several_models_is_asked_for_by_name_and_chosen(tmp_path):
    path = save(tmp_path / "m.pt", {"actor": recurrent("GRU"), "critic": recurrent("LSTM", layers=2), "epoch": 3})
    with pytest.raises(AmbiguousFormat, match=r"several models \('actor', 'critic'\).*--cell model=actor"):
        reprise.restore(path)
    with pytest.raises(AmbiguousFormat, match="none is called 'other'"):
        reprise.restore(path, cell={"model": "other"})
    assert [s.name for s in reprise.restore(path, cell={"model": "actor"}).interface.states] == ["net.h"]


def test_the_recurrent_model_is_taken_though_another_has_more_tensors(tmp_path):
    other = {f"conv{k}.weight": numbers(2, 2) for k in range(9)}
    path = save(tmp_path / "m.pt", {"encoder": other, "policy": recurrent("GRU")})
    assert [s.name for s in reprise.restore(path).interface.states] == ["net.h"]
    assert "read 'policy'; the file holds 'encoder' too" in formats.read(path).notes


def test_table_and_head_are_found_by_their_shapes_in_a_checkpoint(tmp_path):
    state = {"table.weight": numbers(V, D), **recurrent("GRU"), "out.weight": numbers(V, H), "out.bias": numbers(V)}
    checkpoint = {"epoch": 3, "chars": "abcdef", "nets": {"state": state}, "optimizer": {"state": {0: {"step": 1}}}}
    model = reprise.restore(save(tmp_path / "m.pt", checkpoint))
    assert [(p.name, p.role) for p in model.interface.inputs] == [("ids", "tokens")]
    assert [(p.name, p.role, p.shape) for p in model.interface.outputs] == [("out", "logits", (None, None, V))]
    assert model.vocabulary.symbols == tuple("abcdef")
    assert len(model.sample(5, seed=1)) == 5


def test_cells_in_a_list_are_taken_in_its_order(tmp_path):
    state = recurrent("GRU", H, name="net.1", cell=True) | recurrent("GRU", name="net.0", cell=True)
    model = reprise.restore(save(tmp_path / "m.pt", state))
    assert [(s.name, s.shape) for s in model.interface.states] == [("net.0.h", (None, H)), ("net.1.h", (None, H))]


def test_both_directions_run_whole_sequences(tmp_path):
    model = reprise.restore(save(tmp_path / "m.pt", recurrent("LSTM", directions=2)))
    assert not model.interface.steppable
    assert model.run(numbers(2, 4, D))[0]["hidden"].shape == (2, 4, 2 * H)


def test_the_activation_of_a_plain_rnn_must_be_said(tmp_path):
    path = save(tmp_path / "m.pt", recurrent("RNN"))
    with pytest.raises(DiscoveryError, match=r"do not tell whether with tanh or relu\. Say it: cell=\{\"activation\""):
        reprise.restore(path)
    x = numbers(2, 4, D)
    tanh, relu = (reprise.restore(path, cell={"activation": a}).run(x)[0]["hidden"] for a in ("tanh", "relu"))
    assert tanh.min() < 0 <= relu.min()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fc1.weight": numbers(H, H), "fc2.weight": numbers(V, H)}, "fc1, fc2 may read the recurrent module or each"),
        (
            {"bn.running_mean": numbers(H)},
            "3 numbers in, 4 units; these cannot be placed with certainty beside it: bn.running_mean",
        ),
        (
            recurrent("GRU", H, name="one") | recurrent("GRU", H, name="two"),
            r"can be put one after the other in \d ways",
        ),
        ({"a.weight": numbers(V, D), "b.weight": numbers(V, D)}, "a, b may each be the table of its ids or a head"),
    ],
)
def test_what_has_no_certain_place_is_named(tmp_path, more, words):
    with pytest.raises(DiscoveryError, match=f"does not tell how the model computes: .*{words}"):
        reprise.restore(save(tmp_path / "m.pt", recurrent("GRU") | more))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_what_a_pickle_names_is_never_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("m.pt", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"weights": Harmful()}, 2))
    with pytest.raises(DamagedFile, match="holds no state dict"):
        reprise.restore("m.pt")
    assert os.listdir() == ["m.pt"]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_is_cut_is_refused_in_words(tmp_path, legacy):
    whole = save(tmp_path / "m.pt", recurrent("GRU"), legacy).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((DamagedFile, UnknownFormat)):
        reprise.restore(tmp_path / "cut.pt")


def test_it_is_known_by_its_content(tmp_path):
    assert identify(save(tmp_path / "a.bin", recurrent("GRU"))).name == "PyTorch"
    assert identify(save(tmp_path / "b", recurrent("GRU"), legacy=True)).name == "PyTorch"
