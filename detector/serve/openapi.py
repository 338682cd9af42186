"""The API described as OpenAPI 3.1, for clients that are generated from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detector import __version__
from detector.serve.limits import Limits

_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer", "minimum": 0}
_KINDS = ("image/jpeg", "image/png", "image/webp")
REFUSALS = {
    "401": "No token, or a wrong one",
    "403": "Sent by a page of another site",
    "408": "The picture took too long to arrive",
    "413": "More bytes or pixels than allowed",
    "415": "No JPEG, PNG or WebP",
    "422": "An empty, cut or damaged picture, or a wrong query",
    "429": "As many pictures as allowed are under way: try again",
}


def document(class_names: Sequence[str], limits: Limits) -> dict[str, Any]:
    """The description, as JSON values. class_names: what the model knows."""
    picture = {"schema": {"type": "string", "format": "binary"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "detector",
            "version": __version__,
            "summary": "Object detection in pictures.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/detect": {
                "post": {
                    "operationId": "detect",
                    "summary": "Find the objects in a picture.",
                    "description": f"At most {limits.max_bytes:,} bytes and "
                    f"{limits.max_pixels:,} pixels. The content decides the format.",
                    "security": [{}, {"token": []}],
                    "parameters": [_SCORE],
                    "requestBody": {
                        "required": True,
                        "content": dict.fromkeys(
                            ("image/jpeg", "image/png", "image/webp"), picture
                        ),
                    },
                    "responses": {"200": _json("What was found", "Answer")}
                    | {status: _json(why, "Error") for status, why in REFUSALS.items()},
                }
            },
            "/health": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the server answers.",
                    "security": [{}, {"token": []}],
                    "responses": {"200": _json("It does", "Health")},
                }
            },
        },
        "components": {
            "schemas": _schemas(class_names),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_SCORE = {
    "name": "score",
    "in": "query",
    "description": "Leave out detections below this; default the model's own.",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
}


def _schemas(class_names: Sequence[str]) -> dict[str, Any]:
    detection = {
        "class": {"type": "string", "enum": list(class_names)},
        "label": {**_WHOLE, "maximum": len(class_names) - 1},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "xyxy": {
            "description": "Left, top, right, bottom in pixels of the upright picture.",
            "type": "array",
            "items": _NUMBER,
            "minItems": 4,
            "maxItems": 4,
        },
    }
    took = dict.fromkeys(("resize", "network", "select"), _NUMBER)
    return {
        "Answer": _object(
            width=_WHOLE,
            height=_WHOLE,
            detections={"type": "array", "items": _object(**detection)},
            took_ms=_object(**took),
        ),
        "Error": _object(error={"type": "string"}),
        "Health": _object(status={"const": "ok"}, under_way=_WHOLE),
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
