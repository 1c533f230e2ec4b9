"""What layers are: each kind with its options and its weights, as data.

A kind says what it computes, in the words of the field and of no framework; readers of Keras, PyTorch and the like
translate into these. Sequences are batch-major, [N, T, …], unless an option says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from reprise import cells
from reprise.tensors import Shape, Tensor


@dataclass(frozen=True, slots=True)
class ActivationFunction:
    """An activation: its name and the numbers that it is given, such as the slopes of a hard sigmoid.

    The names and their numbers are those of `reprise.layers.writing.functions.FUNCTIONS`.
    """

    name: str
    numbers: tuple[float, ...] = ()


LINEAR = ActivationFunction("linear")


class Layer:
    """What every kind of layer is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Input(Layer):
    """What a caller gives: element type and sizes, None where free."""

    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Activation(Layer):
    """An activation as a layer of its own; one that looks at more than one number does so along `axis`."""

    function: ActivationFunction
    axis: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class ParametricRelu(Layer):
    """x where it is positive, else a learned slope times x; the slopes have one axis for each of x after the batch."""

    slopes: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(Layer):
    """Rows of a table [V, E], looked up by ids, of which `first` stands for the first row."""

    table: Tensor
    first: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class OneHot(Layer):
    """Ids spread over `size` places: one for each id, or with `joined` the places of all ids of the last axis."""

    size: int
    joined: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Dense(Layer):
    """x · kernel + bias over the last axis; the kernel is [D, H], or [H, D] where `transposed`."""

    kernel: Tensor
    bias: Tensor | None = None
    function: ActivationFunction = LINEAR
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class GateWeights:
    """Weights of one or several gates of a cell, side by side in the order that the letters of `order` say.

    Attributes:
        order: Gates, as `reprise.cells` names them; the orders of frameworks are in `cells.LAYOUTS`.
        kernel: [D, gates · H].
        recurrent: [H, gates · H]; with a projection to P numbers [P, gates · H].
        bias: [gates · H], or None.
        recurrent_bias: Added to the recurrent product; matters on its own only where a GRU resets after it.
        transposed: Whether kernels are [gates · H, D] and [gates · H, H].
    """

    order: str
    kernel: Tensor
    recurrent: Tensor
    bias: Tensor | None = None
    recurrent_bias: Tensor | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class RecurrentCell:
    """A cell with its weights.

    Attributes:
        kind: Its gates and equations.
        blocks: Its weights; together they have every gate once.
        functions: The activations of its gates, of its candidate, and of an LSTM's output.
        peepholes: LSTM: gate → [H], applied to the cell state.
        projection: LSTM: [H, P], what the output is multiplied with, or None.
        forget_bias: LSTM: added to the forget gate beside the stored bias.
        clip: LSTM: the bound of the cell state, 0 for none.
    """

    kind: cells.Cell
    blocks: tuple[GateWeights, ...]
    functions: tuple[ActivationFunction, ...]
    peepholes: Mapping[str, Tensor] = field(default_factory=dict)
    projection: Tensor | None = None
    forget_bias: float = 0.0
    clip: float = 0.0


@dataclass(frozen=True, slots=True)
class ConvolutionalCell:
    """An LSTM whose products are convolutions, as Shi et al. 2015, without peepholes.

    Attributes:
        order: The order of the gates in the last axis of kernels and bias.
        kernel: [*window, C, 4F], for the input.
        recurrent: [*window, F, 4F], for the output; always padded to the same size.
        bias: [4F], or None.
        functions: The activations of its gates, of its candidate, and of its output.
        strides: Of the input's convolution.
        padding: Of the input's convolution.
        dilation: Of the input's convolution.
    """

    order: str
    kernel: Tensor
    recurrent: Tensor
    bias: Tensor | None
    functions: tuple[ActivationFunction, ...]
    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recurrent(Layer):
    """Cells one on the other, run over the axis of time.

    It reads a sequence, a mask [N, T] if there is one, and the first values of its states where they are given. Its
    outputs are the sequence of the last cell's outputs, or the last of these; then the last states, cell by cell, of
    an LSTM h before c. A step that the mask hides leaves states and output as they were.

    Attributes:
        cells: From the input to the output.
        backward: Whether it reads from the last step to the first; its outputs are in the order in which it reads.
        sequences: Whether it gives the outputs of all steps.
        zeros_where_masked: Whether a hidden step gives zeros instead of the output before it.
        time_major: Whether sequences are [T, N, …].
        cell_state_first: Whether an LSTM's c is listed before its h, as programs of TensorFlow 1 and Lua Torch do.
    """

    cells: tuple[RecurrentCell | ConvolutionalCell, ...]
    backward: bool = False
    sequences: bool = True
    zeros_where_masked: bool = False
    time_major: bool = False
    cell_state_first: bool = False


Padding = Literal["valid", "same", "causal"]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution(Layer):
    """A convolution over one or two axes between batch and channels.

    Attributes:
        kernel: [*window, C / groups, F]; [*window, C, multiplier] where `depthwise`.
        bias: [F], or None.
        strides: By axis.
        padding: `valid`, `same`, or `causal`: as many zeros in front as the window is long.
        dilation: By axis.
        groups: Into how many parts the channels are divided.
        depthwise: Whether each channel has kernels of its own.
        channels_first: Whether the channels come before the other axes.
        function: The activation.
    """

    kernel: Tensor
    bias: Tensor | None
    strides: tuple[int, ...]
    padding: Padding = "valid"
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    depthwise: bool = False
    channels_first: bool = False
    function: ActivationFunction = LINEAR


@dataclass(frozen=True, slots=True, eq=False)
class Pooling(Layer):
    """The greatest or the mean of every window over one or two axes between batch and channels."""

    mean: bool
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding = "valid"
    channels_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class GlobalPooling(Layer):
    """The greatest or the mean over all axes between batch and channels; a mean leaves out what a mask hides."""

    mean: bool
    keep: bool = False
    channels_first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BatchNormalisation(Layer):
    """(x − mean) / √(variance + ε) · scale + offset along one axis, with the stored mean and variance."""

    mean: Tensor
    variance: Tensor
    scale: Tensor | None
    offset: Tensor | None
    epsilon: float
    axis: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class LayerNormalisation(Layer):
    """(x − mean) / √(variance + ε) · scale + offset with the mean and variance of some axes of each x.

    Attributes:
        axes: The axes that are normalised, from the end (negative).
        scale: Of the sizes of these axes, or None.
        offset: Likewise.
        epsilon: Added to the variance.
        root: Whether x is divided by the root of its mean square, and no mean is taken off.
    """

    axes: tuple[int, ...]
    scale: Tensor | None
    offset: Tensor | None
    epsilon: float
    root: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class UnitNormalisation(Layer):
    """x divided by its length along some axes."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Affine(Layer):
    """x · scale + offset, with numbers that are broadcast: rescaling, or normalisation by stored moments."""

    scale: Tensor
    offset: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Join(Layer):
    """Several inputs, element by element: `add`, `multiply`, `subtract`, `divide`, `average`, `maximum`, `minimum`.

    Inputs of fewer axes get more of one row behind the batch; or in front, where axes are matched by the end.
    """

    kind: str
    by_end: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Concatenate(Layer):
    """Several inputs one after the other along an axis."""

    axis: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Dot(Layer):
    """Products of two inputs summed over an axis of each, batch by batch; `unit` divides both by their length first."""

    axes: tuple[int, int]
    unit: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Mask(Layer):
    """Which steps count: where the input is another than `value`; in any feature, where it has some (`features`)."""

    value: float = 0.0
    features: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Masked(Layer):
    """The input with zeros where its mask, the second input, hides a step."""


@dataclass(frozen=True, slots=True, eq=False)
class Both(Layer):
    """Several masks: a step counts where all say so, or where one does (`either`)."""

    either: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MergeSteps(Layer):
    """[N, T, …] as [N · T, …]: what is done to each step alone."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitSteps(Layer):
    """[N · T, …] as [N, T, …], with the N and T of the second input."""


@dataclass(frozen=True, slots=True, eq=False)
class Attention(Layer):
    """Values weighed by how well their keys fit a query: query [N, Q, D], value [N, V, D], perhaps a key [N, V, D].

    Attributes:
        additive: Bahdanau: Σ scale · tanh(query + key); else Luong: scale · query · key.
        scale: Or None for 1.
        causal: Whether a query sees only the values up to its own place.
        scores: Whether the weights are given too.
    """

    additive: bool = False
    scale: Tensor | None = None
    causal: bool = False
    scores: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """[D, heads, size] and [heads, size] or None, of multi-head attention."""

    kernel: Tensor
    bias: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class MultiHeadAttention(Layer):
    """Vaswani et al. 2017: query, value and key projected to heads, attended, and projected back.

    Attributes:
        query: [D, heads, size].
        key: Likewise; with `groups` fewer heads, each shared by several of the query.
        value: Likewise.
        output: Kernel [heads, size, D] and bias [D].
        causal: Whether a query sees only the values up to its own place.
        scores: Whether the weights are given too.
    """

    query: Projection
    key: Projection
    value: Projection
    output: Projection
    causal: bool = False
    scores: bool = False
