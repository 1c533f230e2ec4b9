"""`reprise run`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprise.cli import _arrays, _sound
from reprise.cli._options import add_model, add_state, restored, started
from reprise.errors import CallError

EXAMPLES = """\
  reprise run model.ckpt --inputs in.npz --outputs out.npz
  reprise run model.ckpt --inputs in.npz --outputs out.npz --save-state s.safetensors
  reprise run model.ckpt --inputs next.npz --outputs out.npz --state s.safetensors --step
  reprise run model.ckpt --inputs in.npz --outputs out.npz --set keep_prob=0.5 --set is_training=true
  reprise run amplifier.nam in.wav out.wav
  reprise run silero_vad.onnx speech.wav out.csv --frame 512 --context 64
  reprise run denoiser.tflite in.wav out.wav --frame 512 --hop 128 --save-state s.safetensors"""


def add_options(parser: ArgumentParser) -> None:
    """The arrays, and how to feed them."""
    add_model(parser)
    sound = parser.add_argument_group("sound of one channel, sample by sample or frame by frame")
    sound.add_argument("sound", metavar="IN.wav", type=Path, nargs="?", help="whole numbers or floats, of any rate")
    about = "to write: .wav as the input is stored, or .csv or .npz with what the model gives for each step"
    sound.add_argument("played", metavar="OUT", type=Path, nargs="?", help=about)
    for option, about in (
        ("frame", "samples of a frame, where the file does not say"),
        ("hop", "samples from the beginning of a frame to that of the next (the frame)"),
        ("context", "samples before a frame that the model takes with it (0)"),
        ("rate", "samples a second for which the model was made, where the file does not say"),
    ):
        sound.add_argument(f"--{option}", metavar="N", type=int, default=0, help=about)
    group, names = parser.add_argument_group("arrays"), "arrays by the name of the"
    group.add_argument("--inputs", dest="source", metavar="NPZ", type=Path, help=f"{names} input")
    group.add_argument("--outputs", dest="target", metavar="NPZ", type=Path, help=f"{names} output, to write")
    group.add_argument("--step", action="store_true", help="one time step: the inputs have no time axis")
    add_state(parser)


def run(
    sound: Path | None,
    played: Path | None,
    source: Path | None,
    target: Path | None,
    step: bool,
    frame: int,
    hop: int,
    context: int,
    rate: int,
    state: Path | None,
    save_state: Path | None,
    **options: Any,
) -> None:
    """Feed arrays or sound to a saved model, and write what it gives."""
    if sound is not None and played is not None and source is target is None and not step:
        _sound.check_target(played)
        wave = _sound.open_sound(sound)
        model = restored(**options)
        _sound.check_rate(model, wave, rate)
        sizes = {"frame": frame, "hop": hop, "context": context}
        _sound.play(model, wave, played, sizes, started(state), save_state)
    elif sound is None and source is not None and target is not None and not (frame or hop or context or rate):
        _feed(source, target, step, state, save_state, **options)
    else:
        raise CallError("expected either a WAV file and a file to write, or --inputs and --outputs, with their options")


def _feed(source: Path, target: Path, step: bool, state: Path | None, save_state: Path | None, **options: Any) -> None:
    if target.suffix != ".npz":
        raise CallError(f"--outputs: expected a name that ends in .npz, found {str(target)!r}")
    arrays = _arrays.read(source)
    model = restored(**options)
    outputs, after = (model.step if step else model.run)(_named(arrays), started(state))
    _arrays.write(target, outputs)
    if save_state:
        after.save(save_state)


def _named(arrays: Mapping[str, Any]) -> Any:
    """By name, or the array itself where the only one was saved without a name."""
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays
