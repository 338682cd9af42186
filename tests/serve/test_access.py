"""Who may talk to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detector.serve.access import COOKIE

Serve = Callable[..., Any]
TOKEN = "a-token-of-some-length"


def test_without_a_token_nothing_is_given(serve: Serve, jpeg: bytes) -> None:
    served = serve(token=TOKEN, local=False)
    for method, path in (("GET", "/"), ("GET", "/health"), ("GET", "/model.onnx")):
        assert served.ask(method, path).status == 401
    refused = served.ask("POST", "/detect", jpeg)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert served.ask("POST", "/detect", jpeg, wrong).status == 401
    assert served.ask("GET", "/?token=x").status == 401
    assert served.ask("GET", "/health", headers={"Cookie": f"{COOKIE}=x"}).status == 401


def test_the_token_opens_as_header_and_as_cookie(serve: Serve, jpeg: bytes) -> None:
    served = serve(token=TOKEN, local=False)
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert served.ask("POST", "/detect", jpeg, right).status == 200
    entered = served.ask("GET", f"/?token={TOKEN}")
    assert (entered.status, entered.headers["Location"]) == (303, "/")
    cookie, *attributes = entered.headers["Set-Cookie"].split("; ")
    assert "HttpOnly" in attributes
    assert served.ask("GET", "/health", headers={"Cookie": cookie}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_other_sites_pages_are_refused(served: Any, jpeg: bytes, headers: dict[str, str]) -> None:
    assert served.ask("POST", "/detect", jpeg, headers).status == 403


def test_own_page_and_links_to_it_are_served(served: Any, jpeg: bytes) -> None:
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"}
    assert served.ask("POST", "/detect", jpeg, own).status == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.ask("GET", "/health", headers=link).status == 200


def test_a_rebound_name_is_turned_away(served: Any) -> None:
    assert served.ask("GET", "/health", headers={"Host": "evil.example"}).status == 400
    assert served.ask("GET", "/health", headers={"Host": "localhost:1"}).status == 200


def test_every_answer_isolates_the_page(served: Any) -> None:
    for path in ("/health", "/nothing"):
        headers = served.ask("GET", path).headers
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
