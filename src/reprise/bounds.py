"""How much may be made from numbers in a file: whatever allocates, counts or nests as a file says asks here first.

What is stored is bounded by the size of the file. What is only said (a constant of one number in a shape, a count of
outputs, a loop in a loop) is not, so it is bounded by what no real model comes near.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from reprise.errors import DamagedFile

#: Bytes of an array that a few stored numbers are spread to, and of all such arrays of one model.
SPREAD = 2**26
SPREAD_IN_ALL = 2**28
#: Bytes of numbers that are worked out in advance, for one loop that is looked at.
WORKED_OUT = 2**28
#: Elements of a tensor that is computed, as far as its sizes are known: 4 GiB of float32.
COMPUTED = 2**30
#: Elements of a state, as far as the file says its sizes: 256 MiB of float32.
STATE = 2**26
#: Axes of a tensor; TensorFlow has at most 254.
AXES = 254
#: Layers of one operator that has several.
LAYERS = 1024
#: Loops and branches within each other; a protobuf message holds no more than 33.
NESTING = 24
#: Outputs of all nodes that say how many they have, whatever the size of the graph, and more for each node of it.
OUTPUTS, OUTPUTS_PER_NODE = 10_000, 16
#: Nodes that the calls of functions unfold to, whatever the size of the graph, and more for each node of it.
UNFOLDED, UNFOLDED_PER_NODE = 50_000, 20
#: Objects of a pickle, each counted wherever it stands, whatever the size of the file, and one more for each byte.
PICKLED = 2**17


def elements(shape: Iterable[int | None]) -> int:
    """The number of elements of a shape, as far as its sizes are known."""
    return math.prod(n for n in shape if n is not None)


def check(amount: int, most: int, what: str) -> None:
    """Holds that a file does not ask for more than it may.

    Raises:
        DamagedFile: It does; `what` begins the message, such as `node 'x': makes numbers`.
    """
    if amount > most:
        raise DamagedFile(
            f"{what}: {amount} are asked for, at most {most} are allowed. The file is damaged, or was made to do harm."
        )
