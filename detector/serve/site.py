"""What the browser loads: the page, ONNX Runtime Web, the model file and what it says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from detector import metadata
from detector.colors import class_color, ink_on
from detector.predictor import Detector
from detector.serve import runtime

PAGE = Path(__file__).parent / "web" / "page"
_NO_RUNTIME = """<!doctype html><meta charset="utf-8"><title>detector</title>
<h1>detector</h1>
<p>This page detects in your browser with ONNX Runtime Web, which is not here yet.
Fetch it once:</p>
<pre>detector serve --build</pre>
<p>The HTTP API works without it: <a href="/openapi.json">its description</a>.</p>
"""


# Said here, since some Windows registries call JavaScript plain text, which browsers do not run.
_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
_LASTING = "private, max-age=31536000, immutable"


class Files(StaticFiles):
    """Static files that browsers ask about each time (an unchanged one is not sent again), but for
    those whose address names their version (`?v=`): they never change.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See StaticFiles."""
        answer = await super().get_response(path, scope)
        lasting = b"v=" in scope["query_string"] and answer.status_code == 200
        answer.headers["Cache-Control"] = _LASTING if lasting else "no-cache"
        if answer.status_code == 200 and (kind := _KINDS.get(Path(path).suffix)):
            answer.headers["Content-Type"] = kind
        return answer


def routes(detector: Detector, model: Path, wanted: list[str]) -> list[BaseRoute]:
    """For a Starlette application, last: it takes every path. model: the file the browser runs."""
    facts = model_facts(detector, model, wanted)
    found = runtime.find()

    async def get_model_facts(request: Request) -> Response:
        return JSONResponse(facts, headers={"Cache-Control": "no-cache"})

    async def get_hint(request: Request) -> Response:
        return HTMLResponse(_NO_RUNTIME, 503)

    async def get_model(request: Request) -> Response:
        return FileResponse(
            model, media_type="application/octet-stream", headers={"Cache-Control": _LASTING}
        )

    if found is None:
        return [Route("/", get_hint)]
    return [
        Route("/model.json", get_model_facts),
        Route("/model.onnx", get_model),
        Mount("/runtime", Files(directory=found)),
        Mount("/", Files(directory=PAGE, html=True)),
    ]


def model_facts(detector: Detector, model: Path, wanted: list[str]) -> dict[str, Any]:
    """What the page must know: thresholds, sizes, names, colours, and where the files are.

    wanted: names to look for; empty for all.
    """
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
    names = detector.class_names
    colors = [class_color(label) for label in range(len(names))]
    return {
        "model_url": f"/model.onnx?v={digest}",
        "runtime_version": runtime.version(),
        "name": model.stem,
        "precision": metadata.read(model).precision,
        "size": detector.size_hw[0],
        "score": detector.score,
        "iou": detector.iou,
        "top_k": detector.top_k,
        "vote": detector.vote,
        "class_names": list(names),
        "labels": [names.index(name) for name in wanted],
        "colors": [f"rgb({red} {green} {blue})" for blue, green, red in colors],
        "inks": ["#fff" if ink_on(color) else "#000" for color in colors],
    }
