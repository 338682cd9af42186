"""Https with a certificate of our own, and with the user's."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.errors import DetectorError
from detector.serve import server, tls

pytest.importorskip("cryptography", reason="cryptography is not installed (the serve extra)")


def test_certificate_is_made_once_and_for_the_eyes_of_its_owner(tmp_path: Path) -> None:
    certificate, key = tls.self_signed(tmp_path / "new", "192.168.1.5")
    assert key.stat().st_mode & 0o077 == 0
    first = certificate.read_bytes()
    assert tls.self_signed(tmp_path / "new", "192.168.1.5") == (certificate, key)
    assert certificate.read_bytes() == first
    tls.self_signed(tmp_path / "new", "192.168.1.6")  # another address: another certificate
    second = certificate.read_bytes()
    assert second != first
    certificate.write_bytes(second[:100])  # damaged: made again
    tls.self_signed(tmp_path / "new", "192.168.1.6")
    assert certificate.read_bytes() not in (first, second[:100])


def test_https_is_served_and_the_certificate_names_the_host(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    pair = tls.self_signed(tmp_path, "127.0.0.1")
    served = serve(tls=pair)
    trusting = ssl.create_default_context(cafile=str(pair[0]))
    connection = http.client.HTTPSConnection("127.0.0.1", served.port, context=trusting, timeout=20)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200


def test_files_that_are_no_certificate_are_an_error(tmp_path: Path) -> None:
    wrong = tmp_path / "a.pem"
    wrong.write_text("nothing")
    with pytest.raises(DetectorError, match="are no certificate and its key"):
        server.make_server(lambda *_: None, (wrong, wrong))  # type: ignore[arg-type, return-value]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DetectorError, match="cannot keep a certificate"):
        tls.self_signed(tmp_path / "file", "127.0.0.1")
