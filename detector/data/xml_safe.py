"""XML without its traps: no document type, so no entities to expand and nothing to fetch."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.parsers import expat

MAX_CHARACTERS = 2**24
# Label files nest four deep; a million levels would only serve to exhaust the stack.
MAX_DEPTH = 64


def parse_xml(text: str) -> ET.Element:
    """The root element of an XML text. Raises ValueError when it is malformed or unsafe."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text):,} characters are too many for one picture's labels")
    builder = ET.TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"elements nest more than {MAX_DEPTH} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    # The text is decoded already: its own declaration must not decide again.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.encode("utf-8", errors="replace"), True)
    except expat.ExpatError as error:
        raise ValueError(f"is not well-formed XML ({error})") from None
    return builder.close()


def _refuse_doctype(*_args: object) -> None:
    raise ValueError("declares a document type, which label files never need; remove <!DOCTYPE")
