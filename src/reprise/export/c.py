"""A pair of C99 files: no dependency but the mathematics library, no allocation, the state a struct of the caller."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from reprise.cells import reordered
from reprise.errors import MissingDependency, SaveError, VerificationError
from reprise.export._c_functions import FUNCTIONS, SAMPLE
from reprise.export.adapting import Adapted, Program, States
from reprise.export.layers import apparent_stack, stack_of
from reprise.export.onnx import first_state_rows
from reprise.model import RecurrentModel
from reprise.stack import (
    GATES,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
)
from reprise.stack.ports import as_rows
from reprise.tensors import Array
from reprise.vocabulary import Vocabulary

HEADER, SOURCE = "model.h", "model.c"
#: The order of the gates in a kernel, as the functions of `_c_functions` have it.
ORDERS = {"LSTM": "iofc", "GRU": "zrc", "RNN": "c"}
#: Compilers take seconds for each million numbers of source text.
LARGEST = 4_000_000
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC")


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes the layers of `model` into an empty folder.

    Raises:
        SaveError: It is no stack of layers, or its weights are too many for source text, or not finite.
        OSError: A file cannot be written.
    """
    layers = stack_of(model)
    arrays = dict(_arrays(model, layers))
    count = sum(array.size for array in arrays.values())
    if count > LARGEST:
        raise SaveError(f"{count:,} weights are too many for a C file ({LARGEST:,}); write it as onnx instead")
    broken = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
    if broken is not None:
        raise SaveError(f"{broken} has numbers that are not finite, which C99 cannot write as text")
    (folder / HEADER).write_text("\n".join(_header(layers, model.vocabulary)), encoding="utf-8")
    with (folder / SOURCE).open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _source(layers, model.vocabulary, arrays))


def read(folder: Path, model: RecurrentModel) -> Adapted:
    """What `write` wrote, compiled with warnings as errors, and run.

    Raises:
        MissingDependency: There is no C compiler.
        VerificationError: It refuses the files.
    """
    layers = apparent_stack(model)
    library = _compiled(folder)
    return Adapted(_program(library, layers), layers, model, lambda: _first(library, layers))


def _compiled(folder: Path) -> ctypes.CDLL:
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise MissingDependency(
            f"no C compiler ({', '.join(_COMPILERS)}) is installed, and without one what is written cannot be verified"
        )
    with TemporaryDirectory() as made:
        library = Path(made) / "model.so"
        command = [compiler, *_FLAGS, str(folder / SOURCE), "-o", str(library), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, own files
        if done.returncode:
            raise VerificationError(f"{compiler} refuses {SOURCE}: {done.stderr.strip()[:500]}")
        return ctypes.CDLL(str(library))


def _program(library: ctypes.CDLL, layers: Stack) -> Program:
    """The compiled functions, over rows and steps."""
    widths = [layers.layers[at].width for at in layers.outputs.values()]
    features = isinstance(layers.layers[0], StackFeatures)

    def step(state: Array, entered: Array) -> Array:
        outputs = np.empty(sum(widths), np.float32)
        x = entered.astype(np.float32).ctypes if features else None
        given = x.data_as(ctypes.c_void_p) if x is not None else ctypes.c_long(int(entered))
        status = library.model_step(_address(state), given, _address(outputs))
        if status:
            raise VerificationError(f"model_step refuses {entered}, which the model takes")
        return outputs

    def program(entered: Array, states: States) -> tuple[dict[str, Array], States]:
        joined = np.concatenate([states[i, kind] for i, kind, _ in _places(layers)], axis=1, dtype=np.float32)
        rows = np.array(joined, order="C")  # each row is the memory of one struct
        made = np.stack([np.stack([step(row, x) for x in steps]) for row, steps in zip(rows, entered, strict=True)])
        outputs = np.split(made, np.cumsum(widths)[:-1], axis=-1)
        return dict(zip(layers.outputs, outputs, strict=True)), _parts(rows, layers)

    return program


def _first(library: ctypes.CDLL, layers: Stack) -> States:
    """What `model_init` writes."""
    row = np.full((1, sum(width for *_, width in _places(layers))), np.nan, np.float32)
    library.model_init(_address(row))
    return _parts(row, layers)


def _places(layers: Stack) -> list[tuple[int, str, int]]:
    """The layer, the kind and the width of each field of the struct."""
    return [(i, kind, layer.width) for i, layer in layers.recurrent() for kind in layer.parts]


def _parts(rows: Array, layers: Stack) -> States:
    """The fields of structs, of which each row is one."""
    places = _places(layers)
    ends = np.split(rows, np.cumsum([width for *_, width in places])[:-1], axis=1)
    return {(i, kind): end for (i, kind, _), end in zip(places, ends, strict=True)}


def _address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


# Text


def _header(layers: Stack, vocabulary: Vocabulary | None) -> Iterator[str]:
    yield f"/* {_plain(layers)}. Written by Reprise; link with -lm. */"
    yield '#ifndef MODEL_H\n#define MODEL_H\n\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
    yield "/* What is carried from step to step: one for each sequence. */\nstruct model_state {"
    yield from (f"    float layer{i}_{kind}[{layer.width}];" for i, layer in layers.recurrent() for kind in layer.parts)
    yield "};\n\nstruct model_outputs {"
    for name, field in _fields(layers).items():
        yield f"    float {field}[{layers.layers[layers.outputs[name]].width}];"
    yield "};\n"
    if vocabulary is not None:
        yield "/* The text of each id. */"
        yield f"extern const char *const model_symbols[{len(vocabulary)}];\n"
    yield "/* Sets the state to what a sequence starts from. */\nvoid model_init(struct model_state *state);\n"
    yield "/* One step. Returns 0; or -1 where the id has no row in the table, and then nothing has changed. */"
    yield f"{_signature(layers)};\n"
    yield "/* An index drawn from logits by a random number from 0 to below 1; at temperature 0, the largest. */"
    yield "int model_sample(const float *logits, int count, double temperature, double uniform);\n"
    yield "#ifdef __cplusplus\n}\n#endif\n\n#endif\n"


def _signature(layers: Stack) -> str:
    entry = "const float *x" if isinstance(layers.layers[0], StackFeatures) else "long id"
    return f"int model_step(struct model_state *state, {entry}, struct model_outputs *outputs)"


def _plain(layers: Stack) -> str:
    return str(layers).replace("→", "->").replace("×", "x")


def _fields(layers: Stack) -> dict[str, str]:
    """The field of each output, which C can have as a name."""
    named = {name: re.sub(r"\W", "_", name, flags=re.ASCII) for name in layers.outputs}
    plain = all(re.fullmatch(r"[A-Za-z]\w*", field, re.ASCII) and field not in _RESERVED for field in named.values())
    if plain and len(set(named.values())) == len(named):
        return named
    return {name: f"output{i}" for i, name in enumerate(layers.outputs)}


_RESERVED = frozenset(
    "auto break case char class const continue default delete do double else enum extern float for goto if inline int "
    "long new operator private public register restrict return short signed sizeof static struct switch this throw try "
    "typedef union unsigned void volatile while".split()
)


def _arrays(model: RecurrentModel, layers: Stack) -> Iterator[tuple[str, Array]]:
    """The constants of the source: kernels have a row for each number that they give."""
    for i, layer in enumerate(layers.layers):
        match layer:
            case StackEmbedding():
                yield f"layer{i}_table", layer.table
            case StackDense():
                yield f"layer{i}_kernel", layer.kernel.T
                yield f"layer{i}_bias", layer.bias if layer.bias is not None else np.zeros(layer.width, np.float32)
            case StackRecurrent():
                for name in ("kernel", "recurrent", "bias", "recurrent_bias"):
                    have, want = GATES[layer.kind], ORDERS[layer.kind]
                    yield f"layer{i}_{name}", reordered(getattr(layer, name).T, have, want).T
    rows = first_state_rows(model)
    for i, layer in layers.recurrent():
        for kind, part in layer.parts.items():
            if part.state in rows:
                port = next(s for s in model.interface.states if s.name == part.state)
                row = as_rows(port, rows[part.state])[0]
                yield f"first_layer{i}_{kind}", row[part.start : part.start + layer.width]


def _source(layers: Stack, vocabulary: Vocabulary | None, arrays: dict[str, Array]) -> Iterator[str]:
    yield f'#include "{HEADER}"\n\n#include <math.h>\n#include <string.h>\n'
    for name, array in arrays.items():
        yield f"static const float {name}[{array.size}] = {{"
        yield from _numbers(array)
        yield "};\n"
    if vocabulary is not None:
        yield f"const char *const model_symbols[{len(vocabulary)}] = {{"
        yield from (f"    {_text(symbol, vocabulary.kind)}," for symbol in vocabulary.symbols)
        yield "};\n"
    for name in _needed(layers):
        yield FUNCTIONS[name]
    yield from _init(layers, arrays)
    yield f"{_signature(layers)}\n{{"
    for i, layer in enumerate(layers.layers):
        yield from (f"    {line}" for line in _step(i, layer))
    for name, field in _fields(layers).items():
        yield f"    memcpy(outputs->{field}, x{layers.outputs[name]}, sizeof outputs->{field});"
    yield "    return 0;\n}\n"
    yield SAMPLE


def _numbers(array: Array) -> Iterator[str]:
    """Numbers as C99 writes them in base 16, which rounds nothing."""
    flat = array.reshape(-1).tolist()
    for at in range(0, len(flat), 8):
        yield "    " + ", ".join(f"{number.hex()}f" for number in flat[at : at + 8]) + ","


def _text(symbol: str, kind: str) -> str:
    data = symbol.encode("latin-1") if kind == "bytes" else symbol.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03o}" for b in data) + '"'


def _needed(layers: Stack) -> Sequence[str]:
    """The functions that the layers use, each after those that it uses."""
    used = set()
    for layer in layers.layers:
        match layer:
            case StackDense():
                used.add("affine")
            case StackRecurrent():
                used |= {"affine", layer.kind, *layer.activations}
            case StackActivation():
                used.add(layer.name)
    return [name for name in FUNCTIONS if name in used]


def _init(layers: Stack, arrays: dict[str, Array]) -> Iterator[str]:
    yield "void model_init(struct model_state *state)\n{"
    yield "    static const struct model_state zeros;\n    *state = zeros;"
    for i, layer in layers.recurrent():
        for kind in layer.parts:
            if f"first_layer{i}_{kind}" in arrays:
                yield f"    memcpy(state->layer{i}_{kind}, first_layer{i}_{kind}, sizeof first_layer{i}_{kind});"
    yield "}\n"


def _step(i: int, layer: StackLayer) -> Iterator[str]:
    """The lines that make x0, x1 and so on, what the layers give."""
    match layer:
        case StackFeatures():
            yield f"const float *x{i} = x;"
        case StackEmbedding():
            yield f"if (id < 0 || id >= {len(layer.table)})\n        return -1;"
            yield f"const float *x{i} = layer{i}_table + id * {layer.width};"
        case StackOneHot():
            yield f"float x{i}[{layer.width}] = {{0.0f}};"
            yield f"if (id >= 0 && id < {layer.width})\n        x{i}[id] = 1.0f;"
        case StackDense():
            yield f"float x{i}[{layer.width}];"
            sizes = f"{layer.width}, {len(layer.kernel)}"
            yield f"affine(x{i}, layer{i}_kernel, layer{i}_bias, x{layer.source}, {sizes});"
        case StackActivation():
            yield f"float x{i}[{layer.width}];"
            yield f"memcpy(x{i}, x{layer.source}, sizeof x{i});"
            if layer.name.endswith("Softmax"):
                yield f"{_NAMES[layer.name]}(x{i}, {layer.width});"
            else:
                yield f"for (int k = 0; k < {layer.width}; k++)\n        x{i}[k] = {_NAMES[layer.name]}(x{i}[k]);"
        case StackRecurrent():
            yield from _recurrent_step(i, layer)


_NAMES = {"Sigmoid": "sigmoid", "Tanh": "tanhf", "Relu": "relu", "Softmax": "softmax", "LogSoftmax": "log_softmax"}


def _recurrent_step(i: int, layer: StackRecurrent) -> Iterator[str]:
    weights = ", ".join(f"layer{i}_{name}" for name in ("kernel", "recurrent", "bias", "recurrent_bias"))
    functions = ", ".join(_NAMES[name] for name in layer.activations)
    states = ", ".join(f"state->layer{i}_{kind}" for kind in layer.parts)
    reset = f", {int(layer.reset_after)}" if layer.kind == "GRU" else ""
    yield f"float work{i}[{2 * len(GATES[layer.kind]) * layer.width}];"
    yield f"{layer.kind.lower()}({weights}, {functions},"
    yield f"    x{layer.source}, {layer.kernel.shape[1]}, {layer.width}{reset}, {states}, work{i});"
    yield f"const float *x{i} = state->layer{i}_h;"
