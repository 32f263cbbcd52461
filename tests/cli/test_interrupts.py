"""Signals become requests to cancel, and only while they are caught."""

import signal
import threading

import pytest

from nbprod.cli.interrupts import Interrupts
from nbprod.execution.cancel import CancelToken


@pytest.fixture
def token():
    token = CancelToken()
    yield token
    token.close()


def test_the_first_signal_cancels_and_says_so_and_a_second_one_counts(token):
    said = []
    interrupts = Interrupts(token, said.append)
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.caught():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert (token.requests, token.reason) == (2, "SIGTERM")
    assert interrupts.received is signal.SIGTERM
    assert len(said) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_ignored_stays_ignored_as_under_nohup(token):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(token, print).caught():
            signal.raise_signal(signal.SIGHUP)
        assert not token
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_caught(token):
    def work():
        with Interrupts(token, print).caught():
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
