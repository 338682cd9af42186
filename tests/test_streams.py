"""Real servers on 127.0.0.1 that are killed, stopped and restarted under a running source.

The RTSP server needs Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi; without them its tests are
skipped. The HTTP MJPEG server needs nothing.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector import camera
from detector.camera import open_source
from detector.errors import DetectorError, SourceLostError
from detector.frame import Frame, Source

SERVERS = Path(__file__).parent / "stream_servers"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's bindings belong to Debian's Python
StartServer = Callable[..., "Server"]


class Server:
    """A server process and the port it listens on."""

    def __init__(self, command: list[str], stdin: bytes = b"") -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()
        line = self.process.stdout.readline().split()
        assert line[:1] == [b"ready"], f"{command} did not start"
        self.port = int(line[1])

    def kill(self) -> None:
        """SIGKILL: the server has no chance to say goodbye to its clients."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers and kills those that still run when the test ends."""
    servers: list[Server] = []

    def start_server(command: list[str], stdin: bytes = b"") -> Server:
        servers.append(Server(command, stdin))
        return servers[-1]

    yield start_server
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@functools.cache
def rtsp_is_missing() -> str:
    """Why the RTSP server cannot run here, or "" when it can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"needs Debian's {SYSTEM_PYTHON}"
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); " + (
        "from gi.repository import Gst; Gst.init(None); "
        "assert Gst.ElementFactory.find('openh264enc'), 'no openh264enc'"
    )
    found = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, check=False)
    return "" if found.returncode == 0 else "needs gir1.2-gst-rtsp-server-1.0 and python3-gi"


def rtsp(port: int, width: int, height: int) -> list[str]:
    """The command of an RTSP server; skips the test where it cannot run."""
    if reason := rtsp_is_missing():
        pytest.skip(reason)
    return [SYSTEM_PYTHON, str(SERVERS / "rtsp_server.py"), str(port), str(width), str(height)]


def mjpeg(mode: str, frames: int = 0) -> tuple[list[str], bytes]:
    """The command and input of an MJPEG server of 160x120 pictures."""
    ok, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))
    assert ok
    script = str(SERVERS / "mjpeg_server.py")
    return [sys.executable, script, "0", mode, str(frames)], jpeg.tobytes()


def read_until(source: Source, wanted: Callable[[Frame], bool], seconds: float) -> set[str]:
    """Read until a frame is wanted; gives the statuses seen on the way. Fails after `seconds`."""
    statuses = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frame = source.read(0.1)
        statuses.add(source.status)
        if frame is not None and wanted(frame):
            return statuses
    pytest.fail(f"no such frame in {seconds:.0f} s; statuses seen: {sorted(statuses)}")


@pytest.mark.slow
def test_rtsp_server_killed_and_restarted_with_another_size(start: StartServer) -> None:
    server = start(rtsp(0, 320, 240))
    with closing(open_source(f"rtsp://127.0.0.1:{server.port}/test")) as source:
        assert source.is_live
        read_until(source, lambda frame: frame.index >= 20, 30)
        for width, height in ((640, 360), (640, 360), (320, 240)):
            server.kill()
            server = start(rtsp(server.port, width, height))
            size = (height, width, 3)
            fresh = source.read(1.0)
            last = -1 if fresh is None else fresh.index
            statuses = read_until(
                source, lambda f, n=last, s=size: f.index > n + 5 and f.image_bgr.shape == s, 60
            )
            assert any(status.startswith("connection lost, retry ") for status in statuses)
        assert source.status == ""
        assert source.warnings == []


@pytest.mark.slow
def test_rtsp_server_killed_for_good(start: StartServer) -> None:
    server = start(rtsp(0, 320, 240))
    address = f"127.0.0.1:{server.port}/test"
    with closing(open_source(f"rtsp://anna:secret@{address}", retry=2)) as source:
        read_until(source, lambda frame: frame.index >= 5, 30)
        server.kill()
        with pytest.raises(SourceLostError, match="and 2 tries to reconnect failed") as caught:
            read_until(source, lambda frame: False, 60)
        assert str(caught.value).startswith(f"rtsp://***@{address}: lost")
        assert source.ended


@pytest.mark.slow
def test_rtsp_reader_that_is_slow_gets_fresh_frames(start: StartServer) -> None:
    server = start(rtsp(0, 320, 240))
    with closing(open_source(f"rtsp://127.0.0.1:{server.port}/test")) as source:
        indices = []
        for _ in range(4):
            time.sleep(1.0)  # 15 frames pass
            frame = source.read(5.0)
            assert frame is not None
            indices.append(frame.index)
    gaps = np.diff(indices)
    assert (gaps > 5).all(), indices
    assert source.dropped >= gaps.sum() - len(gaps)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "frames"), [("stall", 30), ("close", 30)])
def test_mjpeg_that_stalls_or_closes_is_opened_again(
    start: StartServer, monkeypatch: pytest.MonkeyPatch, mode: str, frames: int
) -> None:
    monkeypatch.setattr(camera, "READ_TIMEOUT_MS", 2500)  # a shorter stall makes a shorter test
    server = start(*mjpeg(mode, frames))
    with closing(open_source(f"http://127.0.0.1:{server.port}/video")) as source:
        statuses = read_until(source, lambda frame: frame.index >= frames + 20, 60)
        assert any(status.startswith("connection lost, retry ") for status in statuses)
        if mode == "stall":
            assert any(status.startswith("no frame for") for status in statuses)
        assert source.status == ""


@pytest.mark.slow
def test_close_while_the_server_is_silent(start: StartServer) -> None:
    server = start(*mjpeg("stall", 3))
    source = open_source(f"http://127.0.0.1:{server.port}/video")
    read_until(source, lambda frame: frame.index == 2, 30)
    source.close()  # the capture thread is inside FFmpeg, which waits for READ_TIMEOUT_MS
    assert source.ended
    assert source.read(0.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["mute", "refuse"])
def test_server_without_pictures_is_an_error_at_once(
    start: StartServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(camera, "OPEN_TIMEOUT_MS", 1500)
    server = start(*mjpeg(mode))
    with pytest.raises(DetectorError, match="no picture came from there") as caught:
        open_source(f"http://127.0.0.1:{server.port}/video")
    assert not isinstance(caught.value, SourceLostError)


@pytest.mark.slow
def test_video_file_behind_http_gives_every_frame(start: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for level in range(40):
        writer.write(np.full((48, 64, 3), 5 * level, np.uint8))
    writer.release()
    serve = (
        "import http.server, socketserver, sys\n"
        "s = socketserver.TCPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "print('ready', s.server_address[1], flush=True); s.serve_forever()"
    )
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        server = start([sys.executable, "-c", serve])
    finally:
        os.chdir(before)
    with closing(open_source(f"http://127.0.0.1:{server.port}/clip.avi")) as source:
        assert not source.is_live
        indices = []
        while (frame := source.read(10.0)) is not None:
            indices.append(frame.index)
    assert indices == list(range(40))
