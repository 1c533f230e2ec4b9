"""What `inspect` advises to type next."""

import pytest

from reprise.examine import _options


@pytest.mark.parametrize(
    ("choices", "options"),
    [
        ({}, ""),
        ({"graph": "a graph.pbtxt", "scope": ""}, "--graph 'a graph.pbtxt'"),
        ({"inputs": ["x:0", "y:0"], "averages": True, "zero_state": False}, "--input x:0 --input y:0 --averages"),
        ({"tags": ("serve", "gpu"), "settings": {"keep": 0.5, "n": 2}}, "--set keep=0.5,n=2 --tags serve gpu"),
        ({"cell": {"kind": "gru", "activation": "tanh"}}, "--cell kind=gru,activation=tanh"),
    ],
)
def test_what_was_chosen_is_part_of_the_advice(choices, options):
    assert _options(choices) == options
