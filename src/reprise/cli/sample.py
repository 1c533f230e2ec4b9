"""`reprise sample`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from reprise.cli._options import (
    Inputs,
    Model,
    Outputs,
    SaveState,
    Scope,
    StateFile,
    States,
    VocabularyFile,
    restored,
    started,
)

EXAMPLES = """\
  reprise sample runs/quijote --length 600 --prompt "En un lugar" --temperature 0.8
  reprise sample model.ckpt-2000 --seed 1 --top-k 5 > text.txt
  reprise sample model.ckpt --prompt "The " --save-state tonight.safetensors
  reprise sample model.ckpt --prompt "And then" --state tonight.safetensors"""

#: Between samples, where there are several.
RULE = "\n" + 40 * "-" + "\n"


def sample(
    path: Model,
    length: Annotated[int, typer.Option("--length", "-l", help="How many symbols to draw.")] = 600,
    prompt: Annotated[
        str, typer.Option("--prompt", "--primetext", "--prime", "--start-text", help="What the text begins with.")
    ] = "",
    temperature: Annotated[float, typer.Option(help="Above 0; below 1 is careful, above 1 is wild.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k most probable symbols only.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the fewest symbols whose probabilities sum to p only.")
    ] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the most probable symbol.")] = False,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text on any machine.")] = None,
    samples: Annotated[int, typer.Option("--samples", "-n", help="How many texts to draw, as one batch.")] = 1,
    vocabulary: VocabularyFile = None,
    state: StateFile = None,
    save_state: SaveState = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    states: States = None,
    scope: Scope = "",
) -> None:
    """Write text that a saved model makes up, symbol by symbol."""
    from reprise.sampling import generate

    model = restored(path, vocabulary, inputs, outputs, states, scope)
    last: list[Any] = []
    pieces = generate(
        model,
        length,
        prompt=prompt,
        state=started(state),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        greedy=greedy,
        seed=seed,
        samples=samples,
        keep=last.append if save_state else None,
    )
    if samples == 1:
        _stream(prompt, pieces)
    else:
        sys.stdout.write(RULE.join(prompt + "".join(text) for text in zip(*pieces, strict=True)))
    if sys.stdout.isatty():
        sys.stdout.write("\n")
    sys.stdout.flush()
    if save_state:
        model.signed(last[0]).save(save_state)


def _stream(prompt: str, pieces: Iterator[tuple[str, ...]]) -> None:
    """Each piece is shown as soon as it is drawn."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    for (piece,) in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
