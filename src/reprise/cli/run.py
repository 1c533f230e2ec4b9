"""`reprise run`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprise.cli._options import add_model, add_state, restored, started
from reprise.errors import CallError, DamagedFile, MissingFile

EXAMPLES = """\
  reprise run model.ckpt --inputs in.npz --outputs out.npz
  reprise run model.ckpt --inputs in.npz --outputs out.npz --save-state s.safetensors
  reprise run model.ckpt --inputs next.npz --outputs out.npz --state s.safetensors --step
  reprise run model.ckpt --inputs in.npz --outputs out.npz --set keep_prob=0.5 --set is_training=true"""


def add_options(parser: ArgumentParser) -> None:
    """The arrays, and how to feed them."""
    add_model(parser)
    names = "arrays by the name of the"
    parser.add_argument("--inputs", dest="source", metavar="NPZ", type=Path, required=True, help=f"{names} input")
    parser.add_argument(
        "--outputs", dest="target", metavar="NPZ", type=Path, required=True, help=f"{names} output, to write"
    )
    parser.add_argument("--step", action="store_true", help="one time step: the inputs have no time axis")
    add_state(parser)


def run(source: Path, target: Path, step: bool, state: Path | None, save_state: Path | None, **options: Any) -> None:
    """Feed arrays to a saved model, and write what it gives."""
    if target.suffix != ".npz":
        raise CallError(f"--outputs: expected a name that ends in .npz, found {str(target)!r}")
    arrays = read(source)
    model = restored(**options)
    outputs, after = (model.step if step else model.run)(_named(arrays), started(state))
    write(target, outputs)
    if save_state:
        after.save(save_state)


def _named(arrays: Mapping[str, Any]) -> Any:
    """By name, or the array itself where the only one was saved without a name."""
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays


def read(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file; never Python objects, never more than the file holds.

    Raises:
        MissingFile: There is no such file.
        DamagedFile: It is no `.npz` file, or it holds less than it says.
    """
    import zipfile
    import zlib

    from reprise.wire import npy
    from reprise.wire.varint import Cut

    # What is raised for an archive, or an array in it, that is damaged; RuntimeError where it is encrypted.
    faults = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, MemoryError, OSError, Cut)
    if not path.is_file():
        raise MissingFile(f"{path}: no such file; expected an .npz file with the inputs")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            return {info.filename.removesuffix(".npy"): npy.array(archive.read(info), info.filename) for info in infos}
    except faults as error:
        raise DamagedFile(f"{path}: expected an .npz file with plain arrays, found another ({error})") from error


def write(path: Path, arrays: Mapping[str, Any]) -> None:
    """The arrays as an `.npz` file, whole or not at all.

    Raises:
        SaveError: It cannot be written.
    """
    import numpy as np

    from reprise.files import written_whole

    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
