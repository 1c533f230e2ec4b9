import signal

import pytest

from reprise.train import interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("seconds_between", "of_before"), [(0.9, 0), (1.1, 1)])
def test_a_signal_is_noted_once_and_one_that_asks_again_does_what_it_did_before(
    monkeypatch, number, seconds_between, of_before
):
    before = []
    kept = signal.signal(number, lambda *_: before.append(number))
    try:
        with interrupts.requests() as received:
            for moment in (5.0, 5.0 + seconds_between):
                monkeypatch.setattr(interrupts.time, "monotonic", lambda moment=moment: moment)
                signal.raise_signal(number)
        assert (received, before) == ([number], [number] * of_before)
        signal.raise_signal(number)
        assert len(before) == of_before + 1
    finally:
        signal.signal(number, kept)


def test_a_closed_terminal_is_ignored_under_nohup():
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.requests() as received:
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, kept)
    assert received == []
