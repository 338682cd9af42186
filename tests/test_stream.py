"""Live sources: the newest frame only, and a lost camera comes back or is given up clearly."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from detector.errors import SourceLostError
from detector.stream import LONGEST_WAIT_S, LiveSource, backoff_s, connect


class FakeCapture:
    """A camera in memory: gives the images listed, one each `period_s`, then fails.

    A stand-in because the machine has no camera; real servers are in test_streams.py.
    """

    def __init__(self, levels: list[int], period_s: float = 0.0, width: int = 16) -> None:
        self.levels = list(levels)
        self.period_s = period_s
        self.width = width
        self.opened = bool(levels)
        self.released = False

    def isOpened(self) -> bool:
        return self.opened

    def get(self, _property: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(self.period_s)
        if not self.levels:
            return False, None
        return True, np.full((8, self.width, 3), self.levels.pop(0), np.uint8)

    def release(self) -> None:
        self.released = True


class BlockingCapture(FakeCapture):
    """A driver that gives one frame and then does not come back until woken."""

    def __init__(self) -> None:
        super().__init__([1])
        self.wake = threading.Event()

    def read(self) -> tuple[bool, np.ndarray | None]:
        if not self.levels:
            self.wake.wait(30)
        return super().read()


def live(captures: list[FakeCapture], retry: int = 10) -> LiveSource:
    """A live source over captures opened one after the other; after the last, opening fails."""
    left = list(captures)

    def opener() -> FakeCapture:
        return left.pop(0) if left else FakeCapture([])

    connection = connect(opener)
    assert connection is not None
    return LiveSource(opener, connection, "fake", retry=retry, first_wait_s=0.02)


class TestLive:
    def test_slow_reader_gets_the_newest_and_the_rest_count_as_dropped(self) -> None:
        source = live([FakeCapture([i % 200 for i in range(5000)], period_s=0.01)])
        try:
            seen = []
            while len(seen) < 5:
                time.sleep(0.1)
                asked_at = time.perf_counter()
                frame = source.read(2.0)
                assert frame is not None
                seen.append((frame, asked_at))
        finally:
            source.close()
        indices = [frame.index for frame, _ in seen]
        assert indices == sorted(set(indices))
        assert all(frame.image_bgr[0, 0, 0] == frame.index % 200 for frame, _ in seen)
        # Every frame up to the last one read was either read or dropped.
        assert source.dropped >= indices[-1] + 1 - len(seen) > 0

    def test_newest_is_given_once(self) -> None:
        gate = FakeCapture([1, 2], period_s=0.0)
        source = live([gate], retry=50)
        time.sleep(0.2)
        frame = source.read(0.0)
        assert frame is not None
        assert frame.index == 1
        assert source.read(0.0) is None
        source.close()

    def test_comes_back_with_another_frame_size(self) -> None:
        first, second = FakeCapture([1] * 3, 0.01), FakeCapture([2] * 300, 0.01, width=32)
        source = live([first, FakeCapture([]), FakeCapture([]), second])
        widths, statuses = [], set()
        while widths.count(32) < 3:
            frame = source.read(0.005)
            statuses.add(source.status)
            if frame is not None:
                widths.append(frame.image_bgr.shape[1])
        assert source.status == ""
        source.close()
        assert widths == sorted(widths)
        assert widths[0] == 16
        assert any("connection lost, retry 2/10" in status for status in statuses)
        assert first.released
        assert second.released

    def test_gives_up_after_the_tries_allowed(self) -> None:
        source = live([FakeCapture([1])], retry=2)
        frame = source.read(5.0)
        assert frame is not None
        with pytest.raises(SourceLostError, match="fake: lost, and 2 tries to reconnect failed"):
            source.read(30.0)
        assert source.ended
        source.close()
        assert SourceLostError.exit_code == 3

    def test_a_blocked_driver_blocks_neither_read_nor_close(self) -> None:
        driver = BlockingCapture()
        source = live([driver])
        assert source.read(5.0) is not None
        assert source.read(0.05) is None
        source.close()
        assert source.ended
        assert not driver.wake.is_set()  # close came back while the driver still slept
        driver.wake.set()

    def test_backoff_doubles_to_a_limit(self) -> None:
        waits = [backoff_s(attempt) for attempt in range(1, 12)]
        assert 0.5 <= waits[0] <= 0.55
        assert 1.0 <= waits[1] <= 1.1
        assert all(LONGEST_WAIT_S <= wait <= 1.1 * LONGEST_WAIT_S for wait in waits[4:])
