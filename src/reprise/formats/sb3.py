"""Zip archives of stable-baselines3: the recurrent actor of a policy of `sb3-contrib` (RecurrentPPO).

The names of the modules are always the same, and so is what they compute: observations → `lstm_actor` → the layers of
`mlp_extractor.policy_net`, each with an activation → `action_net`. The critic is left out.
Sources: sb3_contrib/common/recurrent/policies.py (2.7), stable_baselines3/common/policies.py and save_util.py (2.7).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprise.errors import DamagedFile
from reprise.formats._base import Format, StoredModel
from reprise.formats._torch.aten.values import RefusedError
from reprise.formats._torch.modules import Matrix, ModuleChain, State, UndecidedModulesError, recurrent_of
from reprise.formats._torch.onnx import model_of
from reprise.tensors import Tensor
from reprise.wire import archive, torch

_POLICY, _DATA = "policy.pth", "data"
#: The names that every such archive has.
_MEMBERS = frozenset({_POLICY, _DATA, "_stable_baselines3_version"})
_LARGEST_DATA = 2**26
#: Activations by the last names of their classes; a policy that says nothing has the first.
_ACTIVATIONS = {
    "Tanh": "tanh",
    "ReLU": "relu",
    "ELU": "elu",
    "LeakyReLU": "leaky_relu",
    "SiLU": "silu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
}
#: Parts of a policy that its actor does not need.
_OTHERS = re.compile(r"(lstm_critic|critic|value_net|mlp_extractor\.value_net)\..*|log_std")
_LAYER = re.compile(r"mlp_extractor\.policy_net\.(\d+)\.weight")


def sniff(path: Path) -> str | None:
    """Evidence of such an archive: the names of its members."""
    found = archive.names(path, _MEMBERS)
    return "its archive has the members that stable-baselines3 writes" if found == _MEMBERS else None


def read(path: Path) -> StoredModel:
    """The actor of the policy in an archive."""
    members = archive.open_members(path)
    if _MEMBERS - members.keys():
        raise DamagedFile(f"{path}: lacks one of {', '.join(sorted(_MEMBERS))}. Copy the file again.")
    root = torch.read_within(members[_POLICY](None), f"{path.name}, {_POLICY}").root
    state = {k: t for k, t in root.items() if isinstance(k, str) and isinstance(t, Tensor)} if _is_dict(root) else {}
    model, obstacle = None, ""
    try:
        model = model_of(_actor(state, _data(path, members)))
    except (UndecidedModulesError, RefusedError) as why:
        obstacle = f"the policy of the file gives no recurrent actor: {why}."
    return StoredModel(
        path=path,
        format=FORMAT.name,
        evidence=sniff(path) or "it is named so",
        graph=None,
        weights=state,
        files=(path,),
        notes=("the actor alone; where an episode begins, it starts from zero states",),
        metadata={"version": bytes(members["_stable_baselines3_version"](64)).decode("ascii", "replace").strip()},
        obstacle=obstacle,
        foreign=model,
    )


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _data(path: Path, members: Mapping[str, archive.Member]) -> Mapping[str, Any]:
    try:
        data = json.loads(bytes(members[_DATA](_LARGEST_DATA)))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: its member {_DATA} is not JSON ({error}). Copy the file again.") from error
    return data if isinstance(data, dict) else {}


def _actor(state: State, data: Mapping[str, Any]) -> ModuleChain:
    """The actor as modules one after the other.

    Raises:
        UndecidedError: It has none, or parts of which the names do not tell what they compute.
    """
    if "lstm_actor.weight_ih_l0" not in state:
        raise UndecidedModulesError(
            "it has no lstm_actor; a policy without one computes each action from one observation"
        )
    actor = recurrent_of("lstm_actor", state)
    numbers = sorted(int(m[1]) for name in state if (m := _LAYER.fullmatch(name)))
    names = [f"mlp_extractor.policy_net.{n}" for n in numbers]
    dense = [_dense(state, name) for name in (*names, "action_net")]
    used = {f"lstm_actor.{n}" for n in actor.weights} | {f"{m.name}.{end}" for m in dense for end in ("weight", "bias")}
    left = [name for name in state if name not in used and not _OTHERS.fullmatch(name)]
    if left:
        raise UndecidedModulesError(
            f"it has parts that are not read, such as a features extractor: {', '.join(left[:6])}"
        )
    sizes = [actor.outputs, *(m.weight.shape[0] for m in dense)]
    for size, matrix in zip(sizes, dense, strict=False):
        if matrix.weight.shape[1] != size:
            raise UndecidedModulesError(
                f"{matrix.name} reads {matrix.weight.shape[1]} numbers, and {size} come before it"
            )
    activation = _activation(data) if names else ""
    return ModuleChain(None, (actor,), (dense[-1],), (), tuple((m, activation) for m in dense[:-1]))


def _dense(state: State, name: str) -> Matrix:
    weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    if weight is None or len(weight.shape) != 2 or bias is None or bias.shape != weight.shape[:1]:
        raise UndecidedModulesError(f"{name} is not a layer of weights [outputs, inputs] with a bias")
    return Matrix(name, weight, bias)


def _activation(data: Mapping[str, Any]) -> str:
    """ATen's name of the activation that the arguments of the policy name; it is tanh where they name none."""
    arguments = data.get("policy_kwargs")
    words = str(arguments.get("activation_fn", "Tanh")) if isinstance(arguments, dict) else "Tanh"
    name = words.strip("<>'\" ").rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise UndecidedModulesError(f"its activation is {words}, which is not read")
    return _ACTIVATIONS[name]


FORMAT = Format(
    name="stable-baselines3",
    spec="sb3_contrib/common/recurrent/policies.py",
    sniff=sniff,
    read=read,
)
