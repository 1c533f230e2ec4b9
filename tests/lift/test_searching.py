"""The sequences of a search by beams, against what its kernel is written to do; no TensorFlow 2 has the operator."""

import numpy as np
import pytest

from tests.lift.translating import RANDOM, tf, translated, v1

STEPS, ROWS, BEAMS, END = 5, 4, 3, 2


def tree(ids, parents, lengths, end):
    """The beams of GatherTree, from the last step of each row back to the first."""
    found = np.full_like(ids, end)
    for row, beam in np.ndindex(ROWS, BEAMS):
        at = beam
        for step in reversed(range(min(len(ids), lengths[row]))):
            found[step, row, beam], at = ids[step, row, at], parents[step, row, at]
        ends = np.flatnonzero(found[:, row, beam] == end)
        found[ends[0] if ends.size else len(ids) :, row, beam] = end
    return found


def program(kind):
    """Four inputs and the operator, as a graph."""
    with tf.Graph().as_default() as graph:
        for i, rank in enumerate((3, 3, 1, 0)):
            v1.placeholder(kind, [None] * rank, f"x{i}")
        definition = graph.as_graph_def()
    node = definition.node.add(name="tree", op="GatherTree", input=[f"x{i}" for i in range(4)])
    node.attr["T"].type = kind.as_datatype_enum
    return definition


@pytest.mark.parametrize("lengths", [[5, 5, 5, 5], [1, 3, 0, 9]])
def test_beams_are_followed_back_to_the_first_step(lengths):
    ids, parents = (RANDOM.integers(0, n, (STEPS, ROWS, BEAMS)).astype(np.int32) for n in (9, BEAMS))
    arrays = [ids, parents, np.array(lengths, np.int32), np.array(END, np.int32)]
    (found,), _ = translated(program(tf.int32), ["tree:0"], {}, arrays, free=True)
    np.testing.assert_array_equal(found, tree(*arrays))
