"""What damaged files must never do, done on purpose, so that the campaign is seen to notice it."""

import os
import time

import numpy as np

from reprise.errors import ReadError


class Commands(ReadError):
    def __str__(self):
        return "\x1b[2J"


def too_slow(_):
    end = time.process_time() + 60
    while time.process_time() < end:
        pass


def not_ours(_):
    raise KeyError("value")


def too_large(_):
    return str(np.ones(2**28).sum())


def ended_the_process(_):
    os._exit(3)


def commands_a_terminal(_):
    raise Commands


_ALL = (too_slow, not_ours, too_large, ended_the_process, commands_a_terminal)
HARMS = {harm.__name__.replace("_", " "): harm for harm in _ALL}
