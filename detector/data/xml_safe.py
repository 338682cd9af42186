"""XML without its traps: no document type, so no entities to expand and nothing to fetch."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from xml.parsers import expat

MAX_CHARACTERS = 2**24
# Label files nest four deep; a million levels would only serve to exhaust the stack.
MAX_DEPTH = 64
_PIECE = 2**16  # characters read at a time


def parse_xml(text: str) -> ET.Element:
    """The root element of an XML text. Raises ValueError when it is malformed or unsafe."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text):,} characters are too many for one picture's labels")
    tree = _Tree()
    tree.feed(text, last=True)
    return tree.builder.close()


def children(text: str, root: str) -> Iterator[ET.Element]:
    """The elements right below `<root>`, one after another: all at once, large files fill memory.

    Raises ValueError, maybe after some of them, when the text is malformed or unsafe, or its root
    is another.
    """
    tree = _Tree(root)
    for start in range(0, len(text) + 1, _PIECE):
        tree.feed(text[start : start + _PIECE], last=start + _PIECE > len(text))
        yield from tree.done
        tree.done.clear()


class _Tree:
    """An element tree that grows with the text. With a `root`, finished children are cut off it."""

    def __init__(self, root: str | None = None) -> None:
        self.builder = ET.TreeBuilder()
        self.done: list[ET.Element] = []
        self._root = root
        self._open: list[ET.Element] = []
        # The text is decoded already: its own declaration must not decide again.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self.builder.data
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def feed(self, text: str, last: bool) -> None:
        """Go on with the next piece. Raises ValueError when it is malformed or unsafe."""
        try:
            self._parser.Parse(text.encode("utf-8", errors="replace"), last)
        except expat.ExpatError as error:
            raise ValueError(f"is not well-formed XML ({error})") from None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) == MAX_DEPTH:
            raise ValueError(f"elements nest more than {MAX_DEPTH} deep")
        if not self._open and self._root not in (None, tag):
            raise ValueError(f"holds <{tag[:40]}>, expected <{self._root}>")
        self._open.append(self.builder.start(tag, attributes))

    def _end(self, tag: str) -> None:
        self.builder.end(tag)
        element = self._open.pop()
        if self._root is not None and len(self._open) == 1:
            self._open[0].remove(element)
            self.done.append(element)


def _refuse_doctype(*_args: object) -> None:
    raise ValueError("declares a document type, which label files never need; remove <!DOCTYPE")
