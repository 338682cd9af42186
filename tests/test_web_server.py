"""Who may talk to the browser view, where it listens, and that it leaves signals alone."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from web_client import ask, port_of

from detector.errors import DetectorError
from detector.views import open_view
from detector.web import WebView
from detector.web_server import is_loopback


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_a_foreign_host_name_is_turned_away(view: WebView, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/stats"), ("POST", "/key/q")):
        status, headers, _ = ask(view, method, path, {"Host": host, "Origin": f"http://{host}"})
        assert status == 400
        assert headers["Cache-Control"] == "no-store"
    assert view.keys() == []


def test_a_tunnelled_port_is_let_in(view: WebView) -> None:
    assert ask(view, "GET", "/", {"Host": "localhost:9999"})[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),  # another program on this machine
        ({}, 403),
    ],
)
def test_keys_are_taken_from_our_own_page_only(
    view: WebView, headers: dict[str, str], status: int
) -> None:
    assert ask(view, "POST", "/key/q", headers)[0] == status
    assert view.keys() == (["q"] if status == 204 else [])


def test_a_taken_port_is_named_with_the_option(view: WebView) -> None:
    port = port_of(view)
    with pytest.raises(DetectorError, match=rf"port {port} .*in use.*--port") as caught:
        open_view("web", host="127.0.0.1", port=port)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("192.0.2.1", 0), ("no such host", 0)]
)
def test_an_impossible_address_is_one_line(host: str, port: int) -> None:
    with pytest.raises(DetectorError, match=r"--(host|port)") as caught:
        WebView(host=host, port=port)
    assert "\n" not in str(caught.value)


def test_only_a_view_open_to_the_network_warns(capsys: pytest.CaptureFixture[str]) -> None:
    WebView(port=0).close()
    assert capsys.readouterr().err == ""
    exposed = WebView(host="0.0.0.0", port=0)
    try:
        warning = capsys.readouterr().err
        assert "anybody" in warning
        assert warning.count("\n") == 1
        assert ask(exposed, "GET", "/", {"Host": "board.local"})[0] == 200
    finally:
        exposed.close()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("pi", False)],
)
def test_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_ipv6_loopback_works_where_there_is_one() -> None:
    try:
        view = WebView(host="::1", port=0)
    except DetectorError:
        pytest.skip("this machine has no IPv6 loopback")
    connection = http.client.HTTPConnection("::1", port_of(view), timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    view.close()


def test_ctrl_c_stays_with_the_caller_and_leaves_no_trace() -> None:
    code = (
        "import signal, time, numpy as np\n"
        "from detector.web import WebView\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "view = WebView(port=0)\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
        "print(view.url, flush=True)\n"
        "try:\n"
        "    while True:\n"
        "        view.show(np.zeros((48, 64, 3), np.uint8), {}); time.sleep(0.02)\n"
        "except KeyboardInterrupt:\n"
        "    view.close()\n"
        "    print('closed', flush=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(f"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert b"200 OK" in client.recv(4096)
        process.send_signal(2)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "closed\n", "")
