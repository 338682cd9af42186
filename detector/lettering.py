"""A line of text as an anti-aliased mask, in whatever font the installed OpenCV has."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]

WEIGHT = 500  # a little above regular (400): thin strokes drown in a busy picture


def text_mask(text: str, text_px: int) -> UInt8:
    """One line of text as coverage (h, w), 0..255, with a margin; h depends on `text_px` alone.

    OpenCV 5 has TrueType fonts built in (Rubik; WenQuanYi for Chinese, Japanese, Korean): Latin
    with any accents, Greek, Cyrillic, CJK come out right; a script it lacks (Thai, Devanagari)
    gives "?". OpenCV 4 has only a stroke font in ASCII: accents are dropped, the rest is "?".
    """
    # Composed accents: "a" + combining grave (as in macOS file names) is two glyphs, "à" is one.
    text = unicodedata.normalize("NFC", text)
    text = "".join(c if c.isprintable() else " " for c in text)  # a line feed would start a line
    margin = max(2, text_px // 4)
    # Room above the base line for stacked accents (Ấ), below it for descenders.
    base = round(1.1 * text_px)
    height = base + math.ceil(0.3 * text_px) + 1
    if has_truetype():
        return _truetype_mask(text, text_px, height, (margin, base))
    return _stroke_mask(text, text_px, height, (margin, base))


def has_truetype() -> bool:
    """Whether the installed OpenCV renders TrueType: 5 does, 4 does not."""
    return hasattr(cv2, "FontFace")


def _truetype_mask(text: str, text_px: int, height: int, origin: tuple[int, int]) -> UInt8:
    face = _font_face()
    width = cv2.getTextSize((0, 0), text, (0, 0), face, text_px, WEIGHT)[2] + 2 * origin[0]
    mask = np.zeros((height, width), np.uint8)
    cv2.putText(mask, text, origin, (255,), face, text_px, WEIGHT)
    return mask


def _stroke_mask(text: str, text_px: int, height: int, origin: tuple[int, int]) -> UInt8:
    letters = unicodedata.normalize("NFKD", text)  # takes letters and accents apart
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    ascii_text = plain.encode("ascii", "replace").decode()
    font, scale, thickness = cv2.FONT_HERSHEY_SIMPLEX, text_px / 32, max(1, round(text_px / 12))
    width = cv2.getTextSize(ascii_text, font, scale, thickness)[0][0] + 2 * origin[0]
    mask = np.zeros((height, width), np.uint8)
    # This font hangs lower, and has no accents that would need the room above.
    place = (origin[0], origin[1] - text_px // 10 - 1)
    cv2.putText(mask, ascii_text, place, font, scale, (255,), thickness, cv2.LINE_AA)
    return mask


@lru_cache(maxsize=1)
def _font_face() -> cv2.FontFace:
    """The built-in font, unpacked at first use: 20 ms that a run without drawing never pays."""
    return cv2.FontFace("sans")
