"""Writes the TorchScript archives and exports beside it, and what PyTorch computes with them. Made with PyTorch 2.13.

python tests/data/torchscript/make.py
"""

import copy
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

FOLDER = Path(__file__).parent


class Policy(nn.Module):
    """A controller whose LSTM keeps its state in buffers."""

    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(3, 4)
        self.actor = nn.Sequential(nn.Linear(4, 5), nn.ELU(), nn.Linear(5, 2))
        self.register_buffer("hidden", torch.randn(1, 1, 4))
        self.register_buffer("cell", torch.zeros(1, 1, 4))

    def forward(self, x):
        out, (h, c) = self.memory(x.unsqueeze(0), (self.hidden, self.cell))
        self.hidden[:] = h
        self.cell = c
        return self.actor(out.squeeze(0))


class Tagger(nn.Module):
    """Ids to logits, the state in and out."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 3)
        self.gru = nn.GRU(3, 4, 2, batch_first=True)
        self.head = nn.Linear(4, 7)

    def forward(self, ids, state):
        steps, state = self.gru(self.table(ids), state)
        return self.head(steps), state


class Stack(nn.Module):
    """Two layers of an LSTM, the state in and out; one step a call, as an exporter bakes it in."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, 2)
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))

    def forward(self, x, h, c):
        steps, (h, c) = self.lstm(x, (h, c))
        return {"torque": self.head(steps), "state": (h, c)}


class Step(nn.Module):
    """One step of an LSTM written out, in a queue of the last two inputs that is changed by rows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(10, 16) * 0.4)
        self.register_buffer("last", torch.zeros(1, 2, 3))

    def forward(self, x, h, c):
        self.last[:, 0] = self.last[:, 1]
        self.last[:, 1] = x
        i, f, g, o = torch.cat([self.last.flatten(1), h], 1).matmul(self.weight).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * torch.tanh(g)
        h = o.sigmoid() * torch.tanh(c)
        return h.sum(-1), h, c


class Kept(nn.Module):
    """A cell whose states lie in a list and a dictionary; it reads the input of the call before."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 4)
        self.drop = nn.Dropout(0.5)
        self.states: list[torch.Tensor] = [torch.full((1, 4), 0.5)]
        self.past: dict[str, torch.Tensor] = {"x": torch.ones(1, 3)}

    def forward(self, x):
        h = self.cell(self.past["x"], self.states[0])
        self.states[0] = h
        self.past["x"] = x
        return self.drop(h)


def save(name, module, inputs, states):
    """Writes the archive without what only debuggers read, and six carried steps."""
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    buffer.seek(0)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(FOLDER / f"{name}.pt", "w") as new:
        for member in old.namelist():
            if not member.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(member), old.read(member))
    record(name, module, inputs, states)


def record(name, module, inputs, states):
    """Writes what a module computes in carried steps."""
    found = {f"state{k}": s.numpy() for k, s in enumerate(states)}
    outputs = []
    with torch.no_grad():
        for x in inputs:
            given = pytree.tree_leaves(module(x, *states))
            first, *states = given
            outputs.append(first.numpy().copy())
    after = {f"after{k}": s.numpy() for k, s in enumerate(states)}
    given = np.stack([x.numpy() for x in inputs])
    np.savez(FOLDER / f"{name}.npz", inputs=given, outputs=np.stack(outputs), **found, **after)


def export(name, module, inputs, states, *, decomposed=False):
    """Writes the exported program without what only debuggers read, and carried steps."""
    with torch.no_grad():
        program = torch.export.export(copy.deepcopy(module), (inputs[0], *states))
    buffer = io.BytesIO()
    torch.export.save(program.run_decompositions() if decomposed else program, buffer)
    buffer.seek(0)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(FOLDER / f"{name}.pt2", "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if "/models/" in member:
                model = json.loads(data)
                for node in model["graph_module"]["graph"]["nodes"]:
                    node["metadata"] = {}
                data = json.dumps(model, separators=(",", ":")).encode()
            if "sample_inputs" not in member:
                kind = zipfile.ZIP_DEFLATED if decomposed and "/models/" in member else zipfile.ZIP_STORED
                new.writestr(zipfile.ZipInfo(member), data, kind)
    record(name, module, inputs, states)


if __name__ == "__main__":
    torch.manual_seed(0)
    xs = [torch.randn(1, 3) for _ in range(6)]
    pair = torch.randn(1, 4), torch.randn(1, 4)
    ids = [torch.randint(0, 7, (2, 1)) for _ in range(6)]
    stacked = torch.randn(2, 2, 4)
    save("policy", torch.jit.script(Policy().eval()), xs, ())
    save("tagger_scripted", torch.jit.script(Tagger().eval()), ids, (stacked,))
    save("tagger_frozen", torch.jit.freeze(torch.jit.script(Tagger().eval())), ids, (stacked,))
    save("tagger_traced", torch.jit.trace(Tagger().eval(), (ids[0], stacked)), ids, (stacked,))
    step = torch.jit.trace(Step().eval(), (xs[0], *pair), check_trace=False)
    step.last.zero_()
    save("step", step, xs, pair)
    kept = Kept()
    save("kept", torch.jit.script(kept), xs, ())
    record("kept", torch.jit.script(kept.eval()), xs, ())
    export("exported_policy", Policy().eval(), xs, ())
    export("exported_tagger", Tagger().eval(), ids, (stacked,))
    steps = [torch.randn(1, 2, 3) for _ in range(6)]
    export("exported_stack", Stack().eval(), steps, (torch.randn(2, 2, 4), torch.randn(2, 2, 4)), decomposed=True)
