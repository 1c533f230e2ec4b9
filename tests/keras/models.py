"""Small models of Keras 3, one for each layer and option that Reprise reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

N, T, D, H, V = 3, 6, 4, 5, 7


def sequence(*layers, shape=(None, D), **options):
    """Layers one after the other, from a sequence of numbers."""
    import keras

    return keras.Sequential([keras.Input(shape, **options), *layers])


def tokens(*layers, **options):
    """Layers one after the other, from ids; `options` are those of the embedding."""
    import keras

    return keras.Sequential([keras.Input((None,), dtype="int32"), keras.layers.Embedding(V, D, **options), *layers])


def functional(make, *shapes):
    """What `make` gives for inputs of these shapes."""
    import keras

    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], make(*inputs))


def recurrent() -> Mapping[str, Callable]:
    """Recurrent layers and their options."""
    from keras import layers as k

    seq = {"return_sequences": True}
    found = {
        "lstm": lambda: sequence(k.LSTM(H, **seq), k.Dense(V)),
        "lstm, last": lambda: sequence(k.LSTM(H), k.Dense(V, activation="softmax")),
        "lstm, no bias": lambda: sequence(k.LSTM(H, use_bias=False, **seq)),
        "lstm, hard": lambda: sequence(k.LSTM(H, recurrent_activation="hard_sigmoid", activation="relu", **seq)),
        "lstm, elu": lambda: sequence(k.LSTM(H, activation="elu", recurrent_activation="softsign", **seq)),
        "lstm, backwards": lambda: sequence(k.LSTM(H, go_backwards=True, **seq)),
        "lstm, unrolled": lambda: sequence(k.LSTM(H, unroll=True, **seq), shape=(T, D)),
        "gru": lambda: sequence(k.GRU(H, **seq), k.Dense(V)),
        "gru, reset before": lambda: sequence(k.GRU(H, reset_after=False, **seq)),
        "gru, reset before, no bias": lambda: sequence(k.GRU(H, reset_after=False, use_bias=False, **seq)),
        "gru, reset after, no bias": lambda: sequence(k.GRU(H, use_bias=False, **seq)),
        "gru, hard": lambda: sequence(k.GRU(H, recurrent_activation="hard_sigmoid", activation="softsign", **seq)),
        "rnn": lambda: sequence(k.SimpleRNN(H, **seq), k.SimpleRNN(H, activation="relu", **seq)),
        "rnn, no bias": lambda: sequence(k.SimpleRNN(H, use_bias=False, **seq)),
        "stack of lstm, gru, rnn": lambda: sequence(k.LSTM(H, **seq), k.GRU(4, **seq), k.SimpleRNN(3, **seq)),
        "cell": lambda: sequence(k.RNN(k.LSTMCell(H), **seq)),
        "cells": lambda: sequence(k.RNN([k.LSTMCell(H), k.GRUCell(4), k.SimpleRNNCell(3)], **seq)),
        "cells, twice": lambda: sequence(k.RNN([k.LSTMCell(H), k.LSTMCell(4)], **seq), k.RNN(k.GRUCell(2), **seq)),
        "dropout": lambda: sequence(k.LSTM(H, dropout=0.5, recurrent_dropout=0.5, **seq), k.Dropout(0.5)),
        "stateful": lambda: sequence(k.LSTM(H, stateful=True, **seq), k.GRU(4, stateful=True, **seq), batch_size=N),
        "masked embedding, lstm": lambda: tokens(k.LSTM(H, **seq), k.Dense(V), mask_zero=True),
        "masked embedding, last": lambda: tokens(k.GRU(H), mask_zero=True),
        "masking, zeros": lambda: sequence(k.Masking(0.0), k.LSTM(H, zero_output_for_mask=True, **seq)),
        "masking, two layers": lambda: sequence(k.Masking(), k.SimpleRNN(H, **seq), k.Dropout(0.1), k.GRU(H, **seq)),
        "masking, backwards": lambda: sequence(k.Masking(), k.LSTM(H, go_backwards=True, **seq)),
        "masking, cells": lambda: sequence(k.Masking(), k.RNN([k.LSTMCell(H), k.GRUCell(4)], **seq)),
        "masking, both": lambda: sequence(k.Masking(), k.Bidirectional(k.LSTM(H, **seq))),
        "masking, both, last": lambda: sequence(k.Masking(), k.Bidirectional(k.GRU(H))),
        "both of cells": lambda: sequence(k.Bidirectional(k.RNN([k.LSTMCell(H), k.GRUCell(4)], **seq))),
        "both, other backward": lambda: sequence(
            k.Bidirectional(k.LSTM(H, **seq), backward_layer=k.GRU(H, go_backwards=True, **seq))
        ),
        "convolutional lstm": lambda: sequence(k.ConvLSTM1D(3, 3, padding="same", **seq), shape=(None, 8, 2)),
        "convolutional lstm, options": lambda: sequence(
            k.ConvLSTM2D(3, (2, 3), strides=(1, 2), recurrent_activation="hard_sigmoid", use_bias=False, **seq),
            shape=(None, 6, 7, 2),
        ),
        "convolutional lstm, last": lambda: sequence(
            k.ConvLSTM2D(3, 3, padding="same", dilation_rate=2), shape=(None, 6, 6, 1)
        ),
        "time distributed": lambda: sequence(k.LSTM(H, **seq), k.TimeDistributed(k.Dense(V, activation="tanh"))),
        "time distributed, windows": lambda: sequence(
            k.TimeDistributed(k.Conv1D(3, 2)), k.TimeDistributed(k.Flatten()), k.LSTM(H, **seq), shape=(None, 6, 2)
        ),
    }
    for merge in ("concat", "sum", "mul", "ave"):
        found[f"both, {merge}"] = lambda merge=merge: sequence(k.Bidirectional(k.LSTM(H, **seq), merge_mode=merge))
    return found


def functions() -> Mapping[str, Callable]:
    """Every activation, behind an LSTM."""
    import keras
    from keras import layers as k

    names = (
        "elu exponential gelu hard_sigmoid hard_silu leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu "
        "softmax softplus softsign tanh celu hard_tanh log_sigmoid soft_shrink squareplus tanh_shrink hard_shrink"
    )
    found = {
        f"activation {name}": lambda name=name: sequence(k.LSTM(H, return_sequences=True), k.Dense(V, activation=name))
        for name in names.split()
        if keras.activations.get(name)
    }
    layers = {
        "activation": lambda: k.Activation("tanh"),
        "relu": lambda: k.ReLU(max_value=0.4, negative_slope=0.1, threshold=0.05),
        "leaky relu": lambda: k.LeakyReLU(0.2),
        "elu": lambda: k.ELU(0.7),
        "prelu": lambda: k.PReLU(shared_axes=[1]),
        "softmax": lambda: k.Softmax(),
        "unit length": lambda: k.UnitNormalization(),
        "batch": lambda: k.BatchNormalization(),
        "batch, plain": lambda: k.BatchNormalization(scale=False, center=False),
        "layer": lambda: k.LayerNormalization(),
        "layer, plain": lambda: k.LayerNormalization(scale=False, epsilon=0.01),
        "root": lambda: k.RMSNormalization(),
        "rescaling": lambda: k.Rescaling(2.0, 0.5),
        "noise": lambda: k.GaussianNoise(0.3),
        "spatial dropout": lambda: k.SpatialDropout1D(0.3),
    }
    for name, make in layers.items():
        found[f"layer {name}"] = lambda make=make: sequence(k.GRU(H, return_sequences=True), make())
    return found


def shapes() -> Mapping[str, Callable]:
    """Convolutions, pooling, and what moves numbers, before or behind a recurrent layer."""
    from keras import layers as k

    before = {
        "convolution": lambda: k.Conv1D(3, 3, activation="relu"),
        "convolution, same": lambda: k.Conv1D(3, 3, strides=2, padding="same"),
        "convolution, causal": lambda: k.Conv1D(4, 3, padding="causal", dilation_rate=2, groups=2),
        "depthwise": lambda: k.DepthwiseConv1D(3, depth_multiplier=2),
        "separable": lambda: k.SeparableConv1D(5, 3),
        "pooling": lambda: k.MaxPooling1D(2),
        "pooling, mean": lambda: k.AveragePooling1D(3, strides=2, padding="same"),
        "padding": lambda: k.ZeroPadding1D((2, 1)),
        "cropping": lambda: k.Cropping1D((1, 2)),
        "upsampling": lambda: k.UpSampling1D(3),
    }
    found = {
        f"before: {name}": lambda make=make: sequence(make(), k.LSTM(H, return_sequences=True), shape=(8, D))
        for name, make in before.items()
    }
    behind = {
        "flatten": lambda: [k.Flatten(), k.Dense(3)],
        "reshape": lambda: [k.Reshape((2, -1)), k.Dense(3)],
        "permute": lambda: [k.Permute((2, 1)), k.Dense(3)],
        "mean": lambda: [k.GlobalAveragePooling1D()],
        "greatest": lambda: [k.GlobalMaxPooling1D(keepdims=True)],
    }
    for name, make in behind.items():
        found[f"behind: {name}"] = lambda make=make: sequence(k.LSTM(H, return_sequences=True), *make(), shape=(8, D))
    found |= {
        "repeated": lambda: sequence(k.LSTM(H), k.RepeatVector(4), k.LSTM(3, return_sequences=True)),
        "pictures": lambda: sequence(
            k.TimeDistributed(k.Conv2D(3, 3, padding="same", activation="relu")),
            k.TimeDistributed(k.MaxPooling2D(2)),
            k.TimeDistributed(k.Flatten()),
            k.GRU(H, return_sequences=True),
            shape=(None, 4, 6, 2),
        ),
        "words of sentences": lambda: sequence(k.TimeDistributed(k.LSTM(H)), k.Dense(3), shape=(None, 5, 2)),
        "sentences of words": lambda: sequence(
            k.TimeDistributed(k.Bidirectional(k.GRU(H))), k.LSTM(4, return_sequences=True), shape=(None, 5, 2)
        ),
        "masked mean": lambda: tokens(k.LSTM(H, return_sequences=True), k.GlobalAveragePooling1D(), mask_zero=True),
    }
    return found


def graphs() -> Mapping[str, Callable]:
    """Functional models: joins, several inputs and outputs, shared layers, models in each other, given states."""
    import keras
    from keras import layers as k

    def joined(make):
        def model(x):
            h = k.LSTM(D, return_sequences=True)(x)
            return k.Dense(3)(make()([h, x]))

        return lambda: functional(model, (None, D))

    def given_states():
        x, h, c = keras.Input((None, D)), keras.Input((H,)), keras.Input((H,))
        y, h2, c2 = k.LSTM(H, return_sequences=True, return_state=True)(x, initial_state=[h, c])
        return keras.Model([x, h, c], [k.Dense(V)(y), h2, c2])

    def shared():
        cell, dense = k.LSTM(D, return_sequences=True), k.Dense(D)
        x = keras.Input((None, D))
        return keras.Model(x, dense(cell(dense(cell(x)))))

    def nested():
        inner = functional(lambda x: k.BatchNormalization()(k.Dense(D)(k.BatchNormalization()(x))), (None, D))
        x = keras.Input((None, D))
        inside = keras.Sequential([keras.Input((None, D)), k.LSTM(D, return_sequences=True), inner])
        return keras.Model(x, k.Dense(2)(inside(inside(x))))

    def encoder():
        x, y = keras.Input((None, D)), keras.Input((None, D))
        _, *states = k.LSTM(H, return_state=True)(x)
        return keras.Model([x, y], k.Dense(V)(k.LSTM(H, return_sequences=True)(y, initial_state=states)))

    def several():
        x, y = keras.Input((None, D)), keras.Input((None, 2))
        h = k.LSTM(H, return_sequences=True)(k.Concatenate()([x, y]))
        return keras.Model([x, y], [k.Dense(V, name="one")(h), k.Dense(2, name="two")(h)])

    def attention(layer, **options):
        def model(x):
            h = k.GRU(D, return_sequences=True)(x)
            made = layer()
            read = (h, x) if isinstance(made, k.MultiHeadAttention) else ([h, x],)
            return k.Dense(2)(made(*read, **options))

        return lambda: functional(model, (None, D))

    return {
        **{
            f"join {name}": joined(getattr(k, name))
            for name in ("Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Concatenate")
        },
        "given states": given_states,
        "shared": shared,
        "nested": nested,
        "encoder and decoder": encoder,
        "several inputs and outputs": several,
        "dot": lambda: functional(
            lambda x: k.Dot(axes=(2, 2), normalize=True)([k.LSTM(D, return_sequences=True)(x), x]), (None, D)
        ),
        "attention": attention(lambda: k.Attention(use_scale=True)),
        "attention, sums": attention(lambda: k.AdditiveAttention()),
        "attention, causal": attention(lambda: k.Attention(), use_causal_mask=True),
        "attention, heads": attention(lambda: k.MultiHeadAttention(2, 3), use_causal_mask=True),
        "operations": lambda: functional(_operations, (None, D)),
        "operations, axes": lambda: functional(_moved, (None, D)),
        "operations, products": lambda: functional(_weighed, (None, D)),
        "operations, masks": lambda: functional(_masked, (None, D), (None, D)),
    }


def _operations(x):
    import keras

    return keras.ops.tanh(keras.layers.LSTM(D, return_sequences=True)(x) + x * 2.0) - 0.5


def _moved(x):
    """Parts, axes and joins."""
    from keras import layers as k
    from keras import ops

    h = k.LSTM(D, return_sequences=True)(x)
    low, high = ops.split(h, 2, axis=-1)
    turned = ops.transpose(ops.flip(ops.stack([low, high], axis=1), axis=2), (0, 2, 1, 3))
    last = ops.squeeze(ops.expand_dims(h[:, -1], 1), axis=1)
    whole = ops.concatenate([last, h[:, 0, 1:], h[..., 0:1, None, :2][:, 0, 0]], axis=-1)
    return [ops.reshape(turned, (-1, 2, 2)), whole, h[:, ::2]]


def _weighed(x):
    """Attention that is written out, with functions that take numbers."""
    from keras import layers as k
    from keras import ops

    h = k.GRU(D, return_sequences=True)(x)
    scores = ops.matmul(ops.clip(h, -0.5, 0.5), ops.transpose(ops.maximum(h, -0.2), (0, 2, 1)))
    seen = ops.matmul(ops.softmax(scores, axis=-1), h)
    weights = ops.softmax(k.Dense(1)(seen), axis=1)
    return (
        ops.sum(h * weights, axis=1) + ops.max(h, axis=1) - ops.mean(ops.leaky_relu(h, 0.3), axis=[1], keepdims=False)
    )


def _masked(x, y):
    """Masks that Keras writes out: of features, of either input, of inputs in a row of which one has none."""
    from keras import layers as k

    both = k.Add()([k.Masking()(x), k.Masking(0.5)(y)])
    row = k.Concatenate(axis=1)([k.Masking()(x), y])
    return [k.LSTM(H, return_sequences=True)(both), k.GRU(H)(row)]


def randomised(model, seed: int = 0):
    """The model with other weights than zeros and ones, small enough that states move and stay bounded."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path or "rnn_state" in weight.path or not str(weight.dtype).startswith("float"):
            continue
        values = random.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model
