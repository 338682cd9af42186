"""`detector serve`: its options, and a whole run until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from verbs import exit_of

from detector.commands.serve import Serve


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--token", "short"], "--token: expected at least 16"),
        (["--token", "with spaces and so on"], "--token: expected"),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "a.pem: no such file"),
        (["--queue", "0"], "--queue is 0"),
        (["--max-mb", "0"], "--max-mb is 0; expected"),
        (["--max-mb", "nan"], "--max-mb is nan; expected"),
        (["--max-megapixels", "-1"], "--max-megapixels is -1; expected"),
        (["--port", "70000"], "--port 70000: a port is"),
        (["--model", "none.onnx", "--port", "0"], "none.onnx: no such model file"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = exit_of(["serve", *words], capsys)
    assert code == 2
    assert said.startswith(f"error: {reason}")
    assert said.count("\n") == 1


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, _, said = exit_of(["serve", "--port", other.getsockname()[1]], capsys)
    assert code == 2
    assert said.startswith("error: serve: cannot serve on 127.0.0.1 port")


def test_a_token_is_made_where_others_can_reach_it() -> None:
    serve = Serve()
    made = {serve._token(local=False) for _ in range(3)}
    assert len(made) == 3
    assert all(token and len(token) >= 32 for token in made)
    assert serve._token(local=True) is None
    assert Serve(token="0123456789abcdef")._token(local=True) == "0123456789abcdef"


@pytest.mark.slow
def test_served_until_interrupted(tmp_path: Path) -> None:
    words = ["serve", "--host", "0.0.0.0", "--port", "0", "--size", "96", "--precision", "float"]
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", *words],
        env={**os.environ, "DETECTOR_CACHE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url, token = re.findall(r"(http://127\S+/)\?token=(\S+)", process.stdout.readline())[0]
        request = urllib.request.Request(
            f"{url}health", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "detector serve --build" in said
    assert "add --tls" in said
    assert "Traceback" not in said
