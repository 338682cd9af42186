"""How often pictures are mirrored: every second time, unless their classes tell left from right."""

from __future__ import annotations

from collections.abc import Sequence

FLIPS = 0.5
# English, German, French, Spanish, Portuguese, Italian.
SIDES = (
    ("left", "right"),
    ("links", "rechts"),
    ("gauche", "droite"),
    ("izquierd", "derech"),
    ("esquerd", "direit"),
    ("sinistr", "destr"),
)


def flips_for(names: Sequence[str], chosen: float | None = None) -> float:
    """The chance with which pictures of such classes are mirrored, where none was `chosen`."""
    return (0.0 if mirror_images(names) else FLIPS) if chosen is None else chosen


def mirror_images(names: Sequence[str]) -> tuple[str, str] | None:
    """The first two classes that are each other's mirror image by name: 'turn left', 'turn right'.

    Mirrored, one would be learned as the other. Letters and arrows do not say it: --flips 0.
    """
    folded = {name.casefold(): name for name in names}
    for plain, name in folded.items():
        for left, right in SIDES:
            other = plain.replace(left, right)
            if other != plain and other in folded:
                return name, folded[other]
    return None
