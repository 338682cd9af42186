"""What the browser gets: the page or a hint, the model, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector import Detector
from detector.serve import runtime, site

Serve = Callable[..., Any]


@pytest.fixture
def some_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are there, whatever is in them."""
    for name in runtime.FILES:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(runtime, "find", lambda: tmp_path)


def test_without_the_runtime_the_page_says_how_to_get_it(
    serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "find", lambda: None)
    served = serve()
    answer = served.ask("GET", "/")
    assert answer.status == 503
    assert b"detector serve --build" in answer.body
    assert served.ask("POST", "/detect", jpeg).status == 200


@pytest.mark.usefixtures("some_runtime")
def test_page_and_what_it_names_are_served(serve: Serve) -> None:
    served = serve()
    index = served.ask("GET", "/")
    assert (index.status, index.headers["Cache-Control"]) == (200, "no-cache")
    worker = served.ask("GET", "/sw.js").body.decode()
    kept = set(re.findall(r'"(/[\w.-]*)"', worker)) - {"/detect", "/health", "/openapi.json"}
    for path in kept:
        assert served.ask("GET", path).status == 200, path
    # Offline the page has every file there is.
    assert kept == {"/"} | {
        f"/{path.name}" for path in site.PAGE.iterdir() if path.name not in ("sw.js", "index.html")
    }
    assert served.ask("GET", "/app.js").headers["Content-Type"].startswith("text/javascript")
    again = served.ask("GET", "/app.js", headers={"If-None-Match": index.headers["ETag"]})
    assert again.status == 200
    same = {"If-None-Match": again.headers["ETag"]}
    assert served.ask("GET", "/app.js", headers=same).status == 304


@pytest.mark.usefixtures("some_runtime")
def test_model_and_runtime_are_served_and_no_file_beside_them(
    serve: Serve, detector: Detector
) -> None:
    served = serve()
    facts = served.ask("GET", "/model.json").json
    model = served.ask("GET", facts["model_url"])
    assert model.body == detector.path.read_bytes()
    assert "immutable" in model.headers["Cache-Control"]
    wasm = served.ask("GET", "/runtime/ort-wasm-simd-threaded.wasm?v=1")
    assert (wasm.status, wasm.headers["Content-Type"]) == (200, "application/wasm")
    for path in (
        "/model/NOTICE",
        "/NOTICE",
        "/runtime/../../x",
        "/..%2fpackage.json",
        "/package.json",
    ):
        assert served.ask("GET", path).status == 404, path


def test_facts_are_the_detectors(detector: Detector) -> None:
    facts = site.model_facts(detector, detector.path, ["dog"])
    assert facts["class_names"] == list(detector.class_names)
    assert facts["labels"] == [detector.class_names.index("dog")]
    assert (facts["size"], facts["score"], facts["top_k"]) == (96, 0.2, 100)
    assert facts["vote"] == 0.05
    assert len(facts["colors"]) == len(facts["inks"]) == 80
