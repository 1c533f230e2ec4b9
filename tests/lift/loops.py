"""Small graphs of TensorFlow 1 with one loop, written node by node: x [T, N, D] → y [T, N, …]."""

from pathlib import Path

import numpy as np

from reprise import interface, lift
from reprise.formats import StoredModel
from reprise.frame import Frame, Scope
from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.lift import Lifted
from reprise.model import RecurrentModel
from reprise.tensors import in_memory

D, H = 3, 4


class Loop:
    """The body of a loop under construction; every method adds a node and gives its output."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.weights = {}
        self.before = {}
        self.count = 0
        x = self._outside("x", "Placeholder", dtype="float32", shape=ShapeAttribute((None, None, D)))
        self.frame = Frame("while", Scope("count", self.before).rows(x))
        self.x = self.frame.read("x", x, "float32")
        self.ends = []
        self.fed = []

    def _outside(self, name, op, *inputs, **attributes):
        self.before[name] = Node(name, op, inputs, (), attributes)
        return Value(name)

    def __call__(self, op, *inputs, **attributes):
        self.count += 1
        return self.frame.make(f"{op}_{self.count}", op, inputs, **{"T": "float32"} | attributes)

    def constant(self, array):
        self.count += 1
        array = np.asarray(array)
        made = self._outside(f"const_{self.count}", "Const", dtype=array.dtype.name, value=in_memory(array))
        return self.frame.constant(made)

    def number(self, value):
        return self.constant(np.float32(value))

    def weight(self, *shape):
        """A variable with drawn numbers."""
        name = f"variable_{len(self.weights)}"
        self.weights[name] = in_memory(self.random.normal(0, 0.6, shape).astype(np.float32))
        variable = self._outside(name, "VariableV2", dtype="float32", shape=ShapeAttribute(shape))
        return self.frame.constant(self._outside(f"{name}/read", "Identity", variable, T="float32"))

    def state(self, width=H):
        """A state fed through a placeholder."""
        shape = ShapeAttribute((None, width))
        self.count += 1
        fed = self._outside(f"state_{self.count}", "Placeholder", dtype="float32", shape=shape)
        self.fed.append(fed)
        return self.frame.carry(fed, "float32")

    def ended(self):
        """Whether rows of the batch have had all their steps, by a placeholder of lengths [N]."""
        if "lengths" not in self.before:
            self._outside("lengths", "Placeholder", dtype="int32", shape=ShapeAttribute((None,)))
        return self("GreaterEqual", self.frame.counter, self.frame.constant(Value("lengths")), T="int32")

    def zeros(self):
        """Zeros of the shape of the first state, made outside of the loop."""
        return self.frame.constant(self._outside("zeros", "ZerosLike", self.fed[0], T="float32"))

    def dense(self, width, *parts, bias=True):
        """Parts joined · kernel + bias."""
        joined = self("ConcatV2", *parts, self.constant(np.int32(1)), N=len(parts)) if len(parts) > 1 else parts[0]
        rows = sum(D if p == self.x else H for p in parts)
        product = self("MatMul", joined, self.weight(rows, width))
        return self("BiasAdd", product, self.weight(width)) if bias else product

    def split(self, value, count):
        made = self("Split", self.constant(np.int32(1)), value, num_split=count)
        return [Value(made.node, i) for i in range(count)]

    def lstm(self, x, forget=1.0):
        """TensorFlow 1's LSTMCell; gives (c', h')."""
        c, h = self.state(), self.state()
        i, j, f, o = self.split(self.dense(4 * H, x, h), 4)
        forget = self("Sigmoid", self("Add", f, self.number(forget)))
        after = self("Add", self("Mul", forget, c), self("Mul", self("Sigmoid", i), self("Tanh", j)))
        out = self("Mul", self("Sigmoid", o), self("Tanh", after))
        self.ends += [(c, after), (h, out)]
        return after, out

    def gru(self, x):
        """TensorFlow 1's GRUCell."""
        h = self.state()
        r, u = self.split(self("Sigmoid", self.dense(2 * H, x, h)), 2)
        candidate = self("Tanh", self.dense(H, x, self("Mul", r, h)))
        return self.blended(h, u, candidate)

    def gru_other_way(self, x):
        """The update gate says what is added, not what is kept; the reset gate after the product."""
        h = self.state()
        z, r = (self("Sigmoid", self.dense(H, x, h)) for _ in range(2))
        recurrent = self("Mul", r, self.dense(H, h, bias=False))
        candidate = self("Tanh", self("Add", self.dense(H, x), recurrent))
        out = self("Add", self("Mul", z, candidate), self("Mul", self("Sub", self.number(1), z), h))
        self.ends.append((h, out))
        return out

    def gru_reset_after(self, x):
        """The reset gate after the product, with a bias of its own; kernels of input and state apart."""
        h = self.state()
        xz, xr, xc = self.split(self.dense(3 * H, x), 3)
        hz, hr, hc = self.split(self.dense(3 * H, h), 3)
        z, r = self("Sigmoid", self("Add", xz, hz)), self("Sigmoid", self("Add", xr, hr))
        return self.blended(h, z, self("Tanh", self("Add", xc, self("Mul", r, hc))))

    def blended(self, h, u, candidate):
        rest = self("Sub", self.number(1), u)
        out = self("Add", self("Mul", u, h), self("Mul", rest, candidate))
        self.ends.append((h, out))
        return out

    def rnn(self, x, act="Tanh"):
        h = self.state()
        out = self(act, self.dense(H, x, h))
        self.ends.append((h, out))
        return out

    def models(self, *written):
        """The model that writes these values, with and without the fast path."""
        stacks = [self.frame.write(f"y{i}", value, "float32") for i, value in enumerate(written)]
        finals = [self.frame.leave(entered, leaving) for entered, leaving in self.ends]
        after = {f"out{i}": Node(f"out{i}", "Identity", (v,), (), {"T": "float32"}) for i, v in enumerate(stacks)}
        assert len(finals) == len(self.ends)
        graph = Graph.of([*self.before.values(), *self.frame.nodes.values(), *after.values()])
        found = interface.discover(graph, interface.Choices(outputs=tuple(f"out{i}:0" for i in range(len(stacks)))))
        stored = StoredModel(Path("loop"), "by hand", "", graph)

        def variable(node):
            return self.weights.get(node.name)

        def model(fast):
            def lifted(settings) -> Lifted:
                return lift.lift(found, variable, settings, fast=fast)

            return RecurrentModel(stored, lifted, lambda: lift.first_states(found, variable), None)

        return model(True), model(False)
