"""Whether two saved models, also of different formats, compute the same over many carried steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reprise import verify
from reprise.comparison.pairing import paired
from reprise.comparison.shared_view import shared
from reprise.comparison.tables import table, vocabularies
from reprise.comparison.text import Agreement, agreement
from reprise.errors import VerificationError
from reprise.model import RecurrentModel
from reprise.verify import TOLERANCE, Report


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison of two models found. Printed, it is a table.

    Attributes:
        report: The numbers, over every start that was tried.
        text: How far the greedy text agrees; None where there is none.
        vocabulary: How their vocabularies differ, in words; empty where they do not, or only one has any.
        notes: What could not be compared.
    """

    report: Report
    text: Agreement | None
    vocabulary: str
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether they compute the same numbers, for the same symbols."""
        return self.report.equal and not self.vocabulary

    def raise_if_different(self) -> None:
        """Nothing where the models are equal.

        Raises:
            VerificationError: They are not.
        """
        self.report.raise_if_different()
        if self.vocabulary:
            raise VerificationError(self.vocabulary)

    def to_json(self) -> dict[str, Any]:
        """The same facts as plain data."""
        rows = [
            {"tensor": d.tensor, "error": d.error, "start": d.start, "step": d.step, "found": d.found}
            for d in self.report.largest
        ]
        return {
            "equal": self.equal,
            "steps": self.report.steps,
            "batch": self.report.batch,
            "tolerance": self.report.tolerance,
            "largest": rows,
            "verdict": str(self.report),
            "greedy": None if self.text is None else {"symbols": self.text.symbols, "same": self.text.same},
            "vocabulary": self.vocabulary,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows = [
            (d.tensor, f"{d.error:.3g}", f"step {d.step} from {d.start}", d.found)
            for d in sorted(self.report.largest, key=lambda d: -d.error)
        ]
        yield from table(("tensor", "largest error", "where", "the numbers there"), rows)
        yield ""
        yield str(self.report)
        if self.text is not None:
            yield str(self.text)
        yield from (line for line in (self.vocabulary, *self.notes) if line)


def compare(
    a: RecurrentModel,
    b: RecurrentModel,
    *,
    steps: int = 16,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    symbols: int = 200,
) -> Comparison:
    """Runs two models on the same drawn inputs, each with its own state carried from call to call.

    Their ports may have other names and layouts, one may read ids and the other one-hot vectors, or give logits and the
    other probabilities; their states may be packed otherwise.

    Args:
        a: The model that is believed.
        b: The other.
        steps: How many carried steps.
        tolerance: The largest |a − b| / (1 + |a|) that counts as equal.
        seed: Of the inputs and the random state.
        symbols: How many symbols of greedy text to compare.

    Raises:
        VerificationError: The models take other inputs or share no output, so that there is nothing to compare.
        CallError: There are no steps, or there is no such seed.
    """
    pairs = paired(a.interface, b.interface)
    one, other = shared(a, b, pairs)
    notes = [*pairs.alone]
    if not one.interface.states:
        notes.append("their states cannot be matched, so they are compared from their own first states alone")
    if not one.interface.steppable:
        notes.append(f"they are compared over whole sequences alone ({one.interface.why_not})")
    report = verify.compare(one, other, steps=steps, tolerance=tolerance, seed=seed)
    return Comparison(report, agreement(a, b, symbols), vocabularies(a.vocabulary, b.vocabulary), tuple(notes))
