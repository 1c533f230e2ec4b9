"""What operators ask of the shapes of their inputs, one by one."""

import pytest

from reprise.graph import Node, Value
from reprise.operators import OPERATORS
from reprise.operators.rules.asking import Asking


class Known(Asking):
    """One input of a product, of which these shapes are known."""

    def __init__(self, index, other, result):
        super().__init__(Node("y", "MatMul", (Value("a"), Value("b"))), index)
        self._other, self._result = other, result

    def result(self, output=None):
        return self._result

    def shape(self, index):
        return self._other

    numbers = layout = producer = shape

    def readers(self):
        return []


@pytest.mark.parametrize(
    ("index", "other", "result", "asked"),
    [
        (0, (4, 5), (3, 5), (3, 4)),
        (1, (3, 4), None, (4, None)),
        (0, (5,), None, None),
        (1, None, (5,), None),
    ],
)
def test_a_product_asks_for_the_other_factor_and_nothing_where_that_is_no_matrix(index, other, result, asked):
    assert OPERATORS["MatMul"].asks(Known(index, other, result)) == asked
