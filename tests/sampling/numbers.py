"""A small model of numbers, restored from a file."""

import json

import numpy as np

import reprise


def model_of_numbers(folder, units=4):
    """An LSTM that reads and gives one number a step, as RTNeural's JSON."""
    random = np.random.default_rng(5)

    def layer(kind, activation, width, *shapes):
        weights = [(random.normal(size=shape) / 2).tolist() for shape in shapes]
        return {"type": kind, "activation": activation, "shape": [None, None, width], "weights": weights}

    layers = [
        layer("lstm", "tanh", units, (1, 4 * units), (units, 4 * units), (4 * units,)),
        layer("dense", "", 1, (units, 1), (1,)),
    ]
    path = folder / "m.json"
    path.write_text(json.dumps({"in_shape": [None, None, 1], "layers": layers}))
    return reprise.restore(path)
