"""python -m tests.programs.saved FOLDER FIRST LAST: saves random programs, each with what TensorFlow computes of it.

Needs only TensorFlow, from 1.15 on; it is written for Python 3.7.
"""

import json
import os
import random
import sys

import numpy as np
import tensorflow as tf

from tests.programs.drawn import N, Program, values

v1 = tf.compat.v1
STEPS = 64


def save(folder, number):
    """Builds, runs and saves the program of a number; gives what it is made of."""
    program = Program(number)
    functional = program.draw.random() < 0.3
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    v1.disable_resource_variables()
    program.says.append("functional" if functional else "frames")
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.set_random_seed(number)
        program.build()
        updates = _held(program)
        session.run(v1.global_variables_initializer())
        path, names = SAVED[_way(program)](program, session, folder)
        arrays = _computed(program, session, updates)
        _write(program, folder, path, names, arrays)
    return program.says


def _held(program):
    """Variables take their next values before the outputs are given."""
    if not program.held:
        return []
    with tf.control_dependencies([v1.assign(*pair) for pair in zip(program.held, program.last)]):
        program.outputs = [(tf.identity(t), axes) for t, axes in program.outputs]
    program.first, program.last = [], []
    return program.held


def _way(program):
    return program.choose("checkpoint", "checkpoint", "saved model") if program.held else program.choose(*SAVED)


# What TensorFlow computes


def _laid_out(array, axes):
    """[T, N, …] as a tensor of these axes takes it."""
    return array[0] if axes == "n" else array.swapaxes(0, 1) if axes == "nt" else array


def _by_step(array, axes, steps):
    """What a tensor of these axes gives, as [T, N, …]; [N, …] of the last step."""
    if axes == "last":
        return array
    if axes == "n":
        return array[None]
    if axes.startswith("flat"):
        order = axes[-2:]
        array = array.reshape([{"t": steps, "n": N}[a] for a in order] + list(array.shape[1:]))
        axes = order
    return array.swapaxes(0, 1) if axes == "nt" else array


def _computed(program, session, held):
    """Inputs, first states, outputs and last states over many carried steps."""
    fed, states = values(program, STEPS, program.number)
    arrays = {f"in{k}": x for k, x in enumerate(fed)}
    arrays.update({f"state{k}": s for k, s in enumerate(states)})
    for variable, state in zip(held, states):
        variable.load(state, session)
    outputs = []
    length = program.steps or STEPS
    for t in range(0, STEPS, length):
        feeds = {x: _laid_out(a[t : t + length], axes) for (x, axes, _), a in zip(program.inputs, fed)}
        feeds.update(dict(program.settings))
        feeds.update(dict(zip(program.first, states)))
        found, after = session.run([[o for o, _ in program.outputs], program.last], feeds)
        states = after
        outputs.append([_by_step(a, axes, length) for a, (_, axes) in zip(found, program.outputs)])
    for k, (_, axes) in enumerate(program.outputs):
        parts = [o[k] for o in outputs]
        arrays[f"out{k}"] = parts[-1] if axes == "last" else np.concatenate(parts)
    states = [session.run(v) for v in held] if held else states
    arrays.update({f"after{k}": s for k, s in enumerate(states)})
    return arrays


def _write(program, folder, path, names, arrays):
    def name(tensor):
        return names(tensor.name)

    about = {
        "number": program.number,
        "says": program.says,
        "path": path,
        "steps": program.steps,
        "rows": N,
        "inputs": [{"tensor": name(x), "axes": axes} for x, axes, _ in program.inputs],
        "settings": [{"tensor": name(x), "value": value} for x, value in program.settings],
        "states": [{"first": name(t)} for t in (program.held or program.first)],
        "outputs": [{"tensor": name(t), "axes": axes} for t, axes in program.outputs],
    }
    with open(os.path.join(folder, "about.json"), "w") as file:
        json.dump(about, file, indent=1)
    np.savez(os.path.join(folder, "truth.npz"), **arrays)


# The ways to save


def _same(name):
    return name


def _checkpoint(program, session, folder):
    v1.train.Saver().save(session, os.path.join(folder, "model.ckpt"), write_state=False)
    return "model.ckpt", _same


def _saved_model(program, session, folder):
    target = os.path.join(folder, "model")
    info = v1.saved_model.utils.build_tensor_info
    signature = v1.saved_model.signature_def_utils.build_signature_def(
        {f"in{k}": info(x) for k, (x, _, _) in enumerate(program.inputs)},
        {f"out{k}": info(x) for k, (x, _) in enumerate(program.outputs)},
        "predict",
    )
    builder = v1.saved_model.Builder(target)
    builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
    builder.save()
    return "model", _same


def _frozen(program, session, folder, wanted, rename):
    names = sorted({t.op.name for t in wanted})
    definition = v1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), names)
    if program.draw.random() < 0.3 and not definition.library.function:  # these would be lost
        program.says.append("training nodes removed")
        definition = v1.graph_util.remove_training_nodes(definition, protected_nodes=names)
    name = _renamed(definition, program.number) if rename else _same
    with open(os.path.join(folder, "model.pb"), "wb") as file:
        file.write(definition.SerializeToString())
    return "model.pb", name


def _with_states(program, session, folder, rename=False):
    return _frozen(program, session, folder, [t for t, _ in program.outputs] + program.last, rename)


def _alone(program, session, folder, rename=False):
    """What nobody asked for is gone; of one step that may be what its next state is made by, so that is kept there."""
    kept = program.last if program.inputs[0][1] == "n" else []
    return _frozen(program, session, folder, [t for t, _ in program.outputs] + kept, rename)


def _without_names(program, session, folder):
    return (_alone if program.draw.random() < 0.5 else _with_states)(program, session, folder, rename=True)


SAVED = {
    "checkpoint": _checkpoint,
    "saved model": _saved_model,
    "frozen with states": _with_states,
    "frozen alone": _alone,
    "without names": _without_names,
}


def _renamed(definition, seed):
    """Gives every node a name that says nothing; returns what a tensor's name becomes."""
    numbers = list(range(len(definition.node)))
    random.Random(seed).shuffle(numbers)
    new = {node.name: f"n{k}" for node, k in zip(definition.node, numbers)}

    def renamed(name):
        begin = "^" if name.startswith("^") else ""
        stem, _, port = name[len(begin) :].partition(":")
        return begin + new.get(stem, stem) + (":" + port if port else "")

    for node in definition.node:
        node.name = new[node.name]
        node.attr.pop("_class", None)
        for k, name in enumerate(node.input):
            node.input[k] = renamed(name)
    return renamed


def main(folder, first, last):
    for number in range(first, last):
        target = os.path.join(folder, f"{number:05d}")
        os.makedirs(target)
        try:
            says = save(target, number)
        except Exception as error:  # noqa: BLE001 - what TensorFlow cannot build is no program
            says = ["not built", repr(error)[:300]]
        sys.stdout.write(f"{number} {', '.join(says)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
