"""Every exception that Reprise raises on purpose.

    RepriseError
    ├── ReadError                 a file is not what it must be
    │   ├── UnknownFormat         no reader claims it
    │   ├── AmbiguousFormat       several readers, or several checkpoints, claim it
    │   ├── MissingFile           a part of the saved model is not there
    │   └── DamagedFile           bytes contradict their checksum, length or schema
    ├── DiscoveryError            the graph was read, its recurrent interface was not established
    │   ├── NoRecurrence          nothing in the graph carries state from step to step
    │   └── AmbiguousInterface    several readings are equally good
    ├── LiftError                 an operator or structure has no translation
    ├── MissingWeights            the graph is known, its numbers are not
    ├── CallError                 wrong names, shapes or values in a call
    │   ├── StateError            a state that does not belong to the model
    │   └── VocabularyError       symbols the model does not know, or a vocabulary of another length
    ├── VerificationError         two models that must agree do not
    ├── TrainingError             a training run cannot go on; its last good checkpoint is kept
    ├── SaveError                 a model could not be written; what was there before is untouched
    └── MissingDependency         an optional extra is not installed

Messages say what failed, where, what was expected and found, and what to do.
"""

from reprise.printable import bounded


class RepriseError(Exception):
    """The root of the tree: catch it to catch everything that Reprise raises on purpose.

    Messages hold names that come from files: as text they are bounded, and safe to show on a terminal.
    """

    def __str__(self) -> str:
        return bounded(super().__str__())


class ReadError(RepriseError):
    """A file is not what it must be."""


class UnknownFormat(ReadError):
    """No reader claims the file."""


class AmbiguousFormat(ReadError):
    """Several readers, or several checkpoints of one folder, claim to be what the path means."""


class MissingFile(ReadError):
    """A file that is part of the saved model does not exist."""


class DamagedFile(ReadError):
    """Bytes contradict their own checksum, length or schema."""


class DiscoveryError(RepriseError):
    """The graph was read, but its recurrent interface could not be established."""


class NoRecurrence(DiscoveryError):
    """Nothing in the graph carries state from one step to the next."""


class AmbiguousInterface(DiscoveryError):
    """Several readings of the graph are equally good; the message lists them and the option that decides."""


class LiftError(RepriseError):
    """An operator or a structure of the source has no translation; the message names operator and node."""


class MissingWeights(RepriseError):
    """The graph is known but (some of) its weights are not in the files."""


class CallError(RepriseError):
    """A call gave names, shapes or values that the model does not take."""


class StateError(CallError):
    """A state does not belong to the model."""


class VocabularyError(CallError):
    """Symbols outside the vocabulary, or a vocabulary whose length differs from the model's."""


class VerificationError(RepriseError):
    """Two models that must compute the same numbers do not."""


class TrainingError(RepriseError):
    """A training run cannot go on; its last good checkpoint is kept and the message names it."""


class SaveError(RepriseError):
    """A model could not be written; what was there before is untouched."""


class MissingDependency(RepriseError):
    """An optional extra is needed and not installed; the message says how to install it."""
