"""Policies of sb3-contrib in archives of stable-baselines3: the recurrent actor, and nothing of the pickles is run."""

import json
import zipfile

import numpy as np
import pytest

import reprise
from reprise.errors import DamagedFile, DiscoveryError
from tests.formats.contract import FormatContract
from tests.formats.torch_files import save

D, H, A = 3, 4, 2
_KWARGS = {":type:": "<class 'dict'>", ":serialized:": "gASV"}


def numbers(*shape, seed=0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * 0.5).astype(np.float32)


def policy(layers=(5, 6)):
    """The state dict of a RecurrentActorCriticPolicy."""
    held = {"log_std": numbers(A)}
    for name in ("lstm_actor", "lstm_critic"):
        held |= {f"{name}.weight_ih_l0": numbers(4 * H, D), f"{name}.weight_hh_l0": numbers(4 * H, H, seed=1)}
        held |= {f"{name}.bias_{kind}_l0": numbers(4 * H, seed=k) for k, kind in enumerate(("ih", "hh"))}
    for net in ("policy_net", "value_net"):
        for k, (before, after) in enumerate(zip((H, *layers), layers, strict=False)):
            held[f"mlp_extractor.{net}.{2 * k}.weight"] = numbers(after, before, seed=k)
            held[f"mlp_extractor.{net}.{2 * k}.bias"] = numbers(after, seed=k)
    last = (H, *layers)[-1]
    held |= {"action_net.weight": numbers(A, last), "action_net.bias": numbers(A)}
    return held | {"value_net.weight": numbers(1, last), "value_net.bias": numbers(1)}


def archive(path, state, arguments=None, extra=()):
    content = save(path.with_suffix(".pth"), state).read_bytes()
    path.with_suffix(".pth").unlink()
    members = {"data": json.dumps({"policy_kwargs": arguments or {}}).encode(), "policy.pth": content}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (members | {"_stable_baselines3_version": b"2.7.0"} | dict(extra)).items():
            new.writestr(name, data)
    return path


class TestContract(FormatContract):
    name = "stable-baselines3"

    @classmethod
    def write(cls, folder):
        return archive(folder / "m.zip", policy())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def action(state, x, h, c, activation):
    """One step by the equations of torch.nn.LSTM and Linear."""
    gates = x @ state["lstm_actor.weight_ih_l0"].T + h @ state["lstm_actor.weight_hh_l0"].T
    i, f, g, o = np.split(gates + state["lstm_actor.bias_ih_l0"] + state["lstm_actor.bias_hh_l0"], 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = value = sigmoid(o) * np.tanh(c)
    for k in (0, 2):
        name = f"mlp_extractor.policy_net.{k}"
        value = activation(value @ state[f"{name}.weight"].T + state[f"{name}.bias"])
    return value @ state["action_net.weight"].T + state["action_net.bias"], h, c


@pytest.mark.parametrize(
    ("said", "activation"),
    [
        ({}, np.tanh),
        ({**_KWARGS, "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}, lambda x: x * (x > 0)),
    ],
)
def test_actions_and_states_are_those_of_the_equations_over_carried_steps(tmp_path, said, activation):
    held = policy()
    model = reprise.restore(archive(tmp_path / "m.zip", held, said))
    h, c = numbers(2, H, seed=8), numbers(2, H, seed=9)
    state = model.initial_state(2).replace({"lstm_actor.h": h[None], "lstm_actor.c": c[None]})
    for step in range(6):
        x = numbers(2, D, seed=step)
        answer, state = model.step(x, state)
        wanted, h, c = action(held, x, h, c, activation)
        np.testing.assert_allclose(answer["action_net"], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["lstm_actor.h"][0], h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["lstm_actor.c"][0], c, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said", "words"),
    [
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("lstm")], {}, "it has no lstm_actor"),
        (lambda s: s.update({"features_extractor.cnn.0.weight": numbers(2, 1, 3, 3)}), {}, "features_extractor.cnn.0"),
        (lambda s: s.update({"action_net.weight": numbers(A, 9)}), {}, "action_net reads 9 numbers, and 6 come before"),
        (lambda s: s.pop("action_net.bias"), {}, "action_net is not a layer"),
        (lambda s: None, {**_KWARGS, "activation_fn": "<class 'mine.Odd'>"}, "its activation is <class 'mine.Odd'>"),
    ],
)
def test_what_the_names_do_not_decide_is_refused_in_words(tmp_path, change, said, words):
    held = policy()
    change(held)
    with pytest.raises(DiscoveryError, match=words):
        reprise.restore(archive(tmp_path / "m.zip", held, said))


def test_a_policy_that_is_no_file_of_torch_is_damage(tmp_path):
    path = archive(tmp_path / "m.zip", policy(), extra={"policy.pth": b"nothing"})
    with pytest.raises(DamagedFile, match=r"m\.zip, policy\.pth: is not a complete PyTorch file"):
        reprise.restore(path)
