"""A model repository of Triton: the ONNX file, and a configuration that has the server carry the state of a sequence.

One sequence a request and no batching by the server, so that the axes may lie as they do in the model. Source:
Triton Inference Server, Model Configuration and Architecture, "Implicit State Management".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reprise.errors import SaveError
from reprise.export import onnx
from reprise.interface import Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT
from reprise.model import RecurrentModel
from reprise.tensors import Array

MODEL = Path("1", "model.onnx")
CONFIGURATION = "config.pbtxt"
#: A sequence is forgotten that no request goes on with for a minute.
_IDLE_MICROSECONDS = 60_000_000

#: Source: model_config.proto, DataType.
_TYPES = {
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "float16": "TYPE_FP16",
    "bfloat16": "TYPE_BF16",
    "string": "TYPE_STRING",
    "bool": "TYPE_BOOL",
    **{f"{sign}int{bits}": f"TYPE_{sign}INT{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def write(model: RecurrentModel, folder: Path) -> None:
    """Writes `model` into an empty folder.

    Raises:
        SaveError: A server cannot start its states, or must be given what it cannot know.
        OSError: A file cannot be written.
    """
    late = next((s.name for s in model.interface.states if s.initial == "inputs"), None)
    if late is not None:
        raise SaveError(f"state {late!r} starts from the inputs; a server of Triton starts states from numbers")
    if model.lifted.open:
        raise SaveError(f"setting {model.lifted.open[0]!r} has no value for inference; a request would have to give it")
    (folder / MODEL).parent.mkdir()
    onnx.write(model, folder / MODEL)
    first = onnx.first_state_rows(model)
    for name, row in first.items():
        place = folder / "initial_state" / _file(name, model)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(row.tobytes())
    (folder / CONFIGURATION).write_text("\n".join(_configuration(model, first)) + "\n", encoding="utf-8")


def read(folder: Path, model: RecurrentModel) -> RecurrentModel:
    """The model in a repository that `write` wrote.

    Raises:
        ReadError: Its file is not one of ours.
    """
    return onnx.read(folder / MODEL, model)


def _configuration(model: RecurrentModel, first: dict[str, Array]) -> Iterator[str]:
    face = model.interface
    yield 'backend: "onnxruntime"'
    yield "max_batch_size: 0"
    for kind, ports in (("input", face.inputs), ("output", face.outputs)):
        yield f"{kind} ["
        yield ",\n".join(f"  {{ {_port(p)} }}" for p in ports)
        yield "]"
    yield f"sequence_batching {{\n  max_sequence_idle_microseconds: {_IDLE_MICROSECONDS}\n  direct {{ }}"
    for state in face.states:
        yield from _state(state, _file(state.name, model) if state.name in first else "")
    yield "}"


def _port(port: Port) -> str:
    rows = {port.batch_axis: 1} if port.rows is None else {}
    sizes = [rows.get(axis, -1) if n is None else n for axis, n in enumerate(port.shape)]
    return f"name: {_quoted(port.name)} data_type: {_TYPES[port.dtype]} dims: {_dims(sizes)}"


def _state(state: StatePort, file: str) -> Iterator[str]:
    sizes = [1 if n is None else n for n in state.shape]
    kind, dims = _TYPES[state.dtype], _dims(sizes)
    start = f"data_file: {_quoted(file)}" if file else "zero_data: true"
    yield "  state {"
    yield f"    input_name: {_quoted(STATE_IN + state.name)} output_name: {_quoted(STATE_OUT + state.name)}"
    yield f"    data_type: {kind} dims: {dims}"
    yield f'    initial_state {{ name: "first" data_type: {kind} dims: {dims} {start} }}'
    yield "  }"


def _dims(sizes: Sequence[int]) -> str:
    return f"[ {', '.join(map(str, sizes))} ]"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _file(name: str, model: RecurrentModel) -> str:
    """The file of a state's first values; a name may hold what no name of a file can."""
    return f"state{[s.name for s in model.interface.states].index(name)}"
