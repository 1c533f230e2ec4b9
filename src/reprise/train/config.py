"""What a training run is asked to do: every flag, its default, and which values make sense together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from reprise.errors import CallError

Cell = Literal["lstm", "gru", "rnn"]
Level = Literal["characters", "bytes", "words", "values"]
Fill = Literal["previous", "linear"]

#: What may differ when a run is continued: how long it goes on and how often it reports, not what it computes; and
#: the learning rate, from which on it is another run, and says so.
CHANGEABLE = frozenset(
    {
        "data",
        "out",
        "num_epochs",
        "max_steps",
        "max_minutes",
        "patience",
        "learning_rate",
        "checkpoint_every",
        "keep",
        "sample_length",
    }
)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A training run, with the names and defaults of the char-rnn family.

    Attributes:
        data: Files, folders, or `-` for standard input.
        out: The run folder.
        model: The recurrent cell.
        rnn_size: Hidden units of a layer, H.
        num_layers: Recurrent layers, L.
        embedding_size: Width of the token embedding; 0 feeds one-hot vectors.
        forget_bias: What the bias of an LSTM's forget gate starts from; None is 0, which is best on the texts measured.
        seq_length: Time steps of a chunk, T: gradients go back this far, the state goes further.
        batch_size: Parallel streams of a worker, N.
        workers: Processes that train together, each with streams of its own.
        num_epochs: Passes over the training part.
        max_steps: Stop after this many steps in all.
        max_minutes: Stop this many minutes after the start of this process.
        patience: Stop after this many validations in a row that are not better than the best; None goes on.
        learning_rate: Of Adam, before any decay.
        learning_rate_decay: Factor of every epoch past `learning_rate_decay_after`.
        learning_rate_decay_after: Epochs at the full learning rate.
        grad_clip: Largest global norm of the gradient; 0 does not clip.
        dropout: Probability to drop an output of a layer while training.
        seed: Of the first weights and of dropout.
        val_frac: Part of the corpus, at its end, that measures and never trains.
        level: What one token is; `values` are numbers of CSV or `.npy` files, to forecast.
        encoding: Of the text files.
        vocabulary_size: Words to know, the most frequent ones; None knows all.
        end_of_text: A symbol to put after every file.
        columns: Of numeric data; None takes all.
        fill: How missing numbers are filled: `previous` or `linear`; None refuses them.
        header: Whether the first line of CSV has the columns' names; None is told by the lines themselves.
        checkpoint_every: Steps between checkpoints, each with a validation; None is once an epoch, at most 1000.
        keep: Checkpoints to keep beside the best.
        sample_length: Tokens sampled at every checkpoint; 0 samples nothing.
        init_from: A run folder or checkpoint prefix whose weights, and nothing else, are the first weights.

    Raises:
        CallError: A value is out of range, or has no effect with the level; the message names the flag.
    """

    data: tuple[str, ...]
    out: str
    model: Cell = "lstm"
    rnn_size: int = 128
    num_layers: int = 2
    embedding_size: int = 64
    forget_bias: float | None = None
    seq_length: int = 50
    batch_size: int = 50
    workers: int = 1
    num_epochs: int = 50
    max_steps: int | None = None
    max_minutes: float | None = None
    patience: int | None = None
    learning_rate: float = 2e-3
    learning_rate_decay: float = 0.97
    learning_rate_decay_after: int = 10
    grad_clip: float = 5.0
    dropout: float = 0.0
    seed: int = 123
    val_frac: float = 0.05
    level: Level = "characters"
    encoding: str = "utf-8"
    vocabulary_size: int | None = None
    end_of_text: str | None = None
    columns: tuple[str, ...] | None = None
    header: bool | None = None
    fill: Fill | None = None
    checkpoint_every: int | None = None
    keep: int = 3
    sample_length: int = 200
    init_from: str | None = None

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise CallError(f"{flag(name)} is {value!r}; expected a number from {low} to {high}")
        for name, choices in (("model", get_args(Cell)), ("level", get_args(Level)), ("fill", (None, *get_args(Fill)))):
            if getattr(self, name) not in choices:
                raise CallError(
                    f"{flag(name)} is {getattr(self, name)!r}; expected one of {', '.join(filter(None, choices))}"
                )
        for name, (other, meant) in _MEANT_FOR.items():
            value = getattr(self, other)
            if getattr(self, name) is not None and value not in meant:
                raise CallError(f"{flag(name)} has no effect with {flag(other)} {value}, only with {', '.join(meant)}")
        if self.patience is not None and not self.val_frac:
            raise CallError("--patience has no effect without validation: give a --val-frac above 0")
        if self.forget_bias is not None and self.init_from is not None:
            raise CallError("--forget-bias has no effect with --init-from, whose weights have their biases")

    @property
    def loss_unit(self) -> str:
        """What a loss is measured in."""
        if self.level == "values":
            return "mean squared error in standard deviations"
        return f"nats per {self.level.removesuffix('s')}"

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainConfig:
        """The inverse of `to_json`; facts of another version that this one does not know are left out."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        return cls(**values)

    def shared_by(self, workers: int) -> TrainConfig:
        """The same streams in all, shared by another number of workers.

        Raises:
            CallError: They cannot be shared equally.
        """
        streams = self.batch_size * self.workers
        if streams % workers:
            raise CallError(f"--workers is {workers}; the run has {streams} streams, which they cannot share equally")
        return replace(self, workers=workers, batch_size=streams // workers)

    def changed(self, given: Mapping[str, Any]) -> TrainConfig:
        """This configuration with the flags of a continued run.

        Raises:
            CallError: A flag would change what the run computes.
        """
        for name, value in given.items():
            if name not in CHANGEABLE and value != getattr(self, name):
                raise CallError(
                    f"{flag(name)} is {value!r}, but the run in {self.out} was started with {getattr(self, name)!r}. "
                    "--resume goes on exactly; to train its weights in another way use --init-from with a new --out."
                )
        return replace(self, **given)


#: The endings of files that hold numbers; other defaults fit them.
_NUMERIC = (".csv", ".tsv", ".npy")
_VALUES: Mapping[str, Any] = {"seq_length": 48, "batch_size": 16, "num_epochs": 150, "val_frac": 0.1}


def configured(given: Mapping[str, Any]) -> TrainConfig:
    """The configuration with what was given; files of numbers are forecast, with defaults for a year of hours.

    Raises:
        CallError: There is no such option; or as `TrainConfig`.
    """
    known = [f.name for f in fields(TrainConfig)]
    if unknown := [name for name in given if name not in known]:
        raise CallError(f"there is no option {unknown[0]!r}; there are: {', '.join(known)}")
    numeric = given["data"] and all(str(source).lower().endswith(_NUMERIC) for source in given["data"])
    level = given.get("level") or ("values" if numeric else "characters")
    return TrainConfig(**{**(_VALUES if level == "values" else {}), **given, "level": level})


_LARGE = 2**31 - 1
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("rnn_size", 1, 2**16),
    ("num_layers", 1, 100),
    ("embedding_size", 0, 2**16),
    ("forget_bias", -1e3, 1e3),
    ("seq_length", 1, 2**20),
    ("batch_size", 1, 2**20),
    ("workers", 1, 2**16),
    ("num_epochs", 1, _LARGE),
    ("max_steps", 1, _LARGE),
    ("max_minutes", 0, _LARGE),
    ("patience", 1, _LARGE),
    ("learning_rate", 0, 1e3),
    ("learning_rate_decay", 0, 1),
    ("learning_rate_decay_after", 0, _LARGE),
    ("grad_clip", 0, 1e9),
    ("dropout", 0, 0.99),
    ("seed", 0, _LARGE),
    ("val_frac", 0, 0.9),
    ("checkpoint_every", 1, _LARGE),
    ("keep", 1, 1_000_000),
    ("sample_length", 0, 1_000_000),
)


#: Options about one kind of data or cell; where they would mean nothing, something else was meant.
_MEANT_FOR: dict[str, tuple[str, tuple[str, ...]]] = {
    "forget_bias": ("model", ("lstm",)),
    "vocabulary_size": ("level", ("words",)),
    "end_of_text": ("level", ("characters", "bytes", "words")),
    "columns": ("level", ("values",)),
    "header": ("level", ("values",)),
    "fill": ("level", ("values",)),
}


def flag(name: str) -> str:
    """The command-line flag of a configuration field."""
    return "--" + name.replace("_", "-")
