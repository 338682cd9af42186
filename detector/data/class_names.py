"""Class names that people may have meant as one."""

from __future__ import annotations

from collections.abc import Sequence

from detector.data.tree import fold


def alike(names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, an earlier one) that differ only in case, blanks, hyphens or a plural s."""
    first: dict[str, str] = {}
    pairs = []
    for name in names:
        plain = "".join(c for c in fold(name) if c.isalnum()) or fold(name)
        plain = plain.removesuffix("s") or plain
        other = first.setdefault(plain, name)
        if other != name:
            pairs.append((name, other))
    return pairs
