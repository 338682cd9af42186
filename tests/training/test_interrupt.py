"""Ctrl-C: noted first, obeyed at once when pressed again."""

import os
import signal
import threading

import pytest

from detector.training.interrupt import Interrupt, ignore_interrupts


@pytest.fixture(autouse=True)
def default_handlers():
    """As a script has them, and back to the test runner's."""
    chosen = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in chosen.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def press():
    signal.raise_signal(signal.SIGINT)


def test_the_first_is_noted_and_said_the_second_stops(capfd):
    interrupt = Interrupt()
    interrupt.begin()
    press()
    assert interrupt.asked
    assert capfd.readouterr().err == "\nstopping after this step; Ctrl-C once more stops at once\n"
    with pytest.raises(KeyboardInterrupt):
        press()
    interrupt.end()
    interrupt.end()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_may_come_twice(capfd):
    interrupt = Interrupt()
    interrupt.obey()
    interrupt.begin()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert capfd.readouterr().err.count("stopping") == 1
    with pytest.raises(KeyboardInterrupt):
        interrupt.obey()
    with pytest.raises(KeyboardInterrupt):
        press()
    interrupt.end()


def test_without_a_stderr_it_is_noted_all_the_same(monkeypatch):
    def closed(*_):
        raise OSError("closed")

    monkeypatch.setattr(os, "write", closed)
    interrupt = Interrupt()
    interrupt.begin()
    press()
    interrupt.end()
    assert interrupt.asked


def test_somebody_elses_handler_stays():
    def theirs(number, frame):
        """Nothing."""

    signal.signal(signal.SIGINT, theirs)
    interrupt = Interrupt()
    interrupt.begin()
    assert signal.getsignal(signal.SIGINT) is theirs
    interrupt.end()
    assert signal.getsignal(signal.SIGINT) is theirs


def test_outside_of_the_main_thread_nothing_changes():
    failed = []

    def run():
        try:
            Interrupt().begin()
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_it_does_nothing():
    ignore_interrupts()
    press()
