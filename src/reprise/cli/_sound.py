"""Sound in, sound or numbers out: what `reprise run MODEL IN.wav OUT` does."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from reprise.cli import _arrays
from reprise.errors import CallError, DamagedFile, MissingFile
from reprise.printable import printable_line

if TYPE_CHECKING:
    from reprise.model import RecurrentModel
    from reprise.sound import SoundPath
    from reprise.state import State
    from reprise.tensors import Array
    from reprise.wire.wave import Wave

ENDINGS = (".wav", ".csv", ".npz")


def check_target(target: Path) -> None:
    """Holds that what is to be written can be.

    Raises:
        CallError: Its name says of no kind that is written.
    """
    if target.suffix.lower() not in ENDINGS:
        raise CallError(f"OUT: expected a file to write that ends in {', '.join(ENDINGS)}, found {str(target)!r}")


def open_sound(path: Path) -> Wave:
    """A file with one channel of sound.

    Raises:
        MissingFile: It cannot be read.
        DamagedFile: It is not a complete WAV file.
        CallError: It has several channels, or no samples.
    """
    from reprise.wire import wave
    from reprise.wire.varint import Cut

    try:
        found = wave.open_wave(path)
    except OSError as error:
        raise MissingFile(f"{path}: cannot be read ({error.strerror}); expected a WAV file") from error
    except Cut as error:
        raise DamagedFile(f"{path}: is not a complete WAV file ({error})") from error
    if found.layout.channels != 1 or not found.count:
        raise CallError(
            f"{path}: expected one channel with samples, found {found.layout.channels} channels of {found.count} "
            "samples. Write the wanted channel to a file of its own."
        )
    return found


def check_rate(model: RecurrentModel, sound: Wave, rate: int) -> None:
    """Holds that sound has the rate of the model, as far as that is known; tells where it is not.

    Raises:
        CallError: It has another.
    """
    from reprise.sound import rate_of

    known, why = (rate, "--rate") if rate else rate_of(model.interface, model.stored.metadata)
    if known is None:
        note = f"nothing says for which rate the model was made; {sound.path} has {sound.layout.rate} samples a second"
        sys.stderr.write(f"note: {printable_line(note)} (--rate checks it)\n")
    elif known != sound.layout.rate:
        raise CallError(
            f"{sound.path}: has {sound.layout.rate} samples a second, and the model is for {known} ({why}). Convert "
            "it, or restore the model for its rate."
        )


def play(
    model: RecurrentModel,
    sound: Wave,
    target: Path,
    sizes: Mapping[str, int],
    state: State | None,
    save_state: Path | None,
) -> None:
    """Writes what a model gives for sound, whole or not at all, and the state at its end where that is asked for.

    Raises:
        CallError: It takes no sound, or gives none, and the name of the file is that of some.
    """
    import numpy as np

    from reprise import sound as streaming

    along = streaming.sound_path(model, **sizes)
    pieces = (piece[:, 0] for piece in sound.pieces(streaming.AT_ONCE))
    last: list[State] = []
    results = streaming.through(model, pieces, along, state, last.append)
    match target.suffix.lower():
        case ".wav":
            _write_wave(target, streaming.overlap_add(results, along), sound)
        case ".csv":
            _write_table(target, results, along, sound.layout.rate)
        case _:
            _arrays.write(target, {along.target.name: np.concatenate(list(results))})
    if save_state:
        last[0].save(save_state)


def _write_wave(target: Path, parts: Iterator[Array], sound: Wave) -> None:
    """As many samples as were given, stored as those were."""
    from reprise.files import written_whole
    from reprise.wire import wave

    first = next(parts)  # tells how many channels there are, before anything is written
    layout, left, cut = replace(sound.layout, channels=first.shape[1]), sound.count, 0
    with written_whole(target) as part, part.open("wb") as file:
        wave.write_head(file, layout, sound.count)
        for samples in chain([first], parts):
            data, beyond = wave.encode_samples(samples[:left], layout)
            file.write(data)
            left, cut = left - len(samples[:left]), cut + beyond
        file.write(b"\0" * (sound.count * layout.size % 2))
    if cut:
        sys.stderr.write(f"note: {cut} samples are beyond full scale and were cut to it\n")


def _write_table(target: Path, results: Iterable[Array], along: SoundPath, rate: int) -> None:
    """A row for each step: when it begins, and what the model gives."""
    from reprise.files import written_whole

    step = 0
    with written_whole(target) as part, part.open("w", encoding="utf-8", newline="") as file:
        for rows in results:
            if not step:
                width = rows.shape[1]
                names = [along.target.name] if width == 1 else [f"{along.target.name}.{k}" for k in range(width)]
                file.write(",".join(["seconds", *names]) + "\n")
            for row in rows:
                file.write(",".join([f"{step * along.hop / rate:.6g}", *(f"{x:.9g}" for x in row)]) + "\n")
                step += 1
