import signal

import pytest

from reprise.train import interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_noted_once_and_the_second_does_what_it_did_before(number):
    before = []
    kept = signal.signal(number, lambda *_: before.append(number))
    try:
        with interrupts.requests() as received:
            signal.raise_signal(number)
            signal.raise_signal(number)
        signal.raise_signal(number)
    finally:
        signal.signal(number, kept)
    assert (received, before) == ([number], [number, number])


def test_a_closed_terminal_is_ignored_under_nohup():
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.requests() as received:
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, kept)
    assert received == []
