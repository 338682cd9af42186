"""lettering: what ends up as ink."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from detector import lettering
from detector.lettering import has_truetype, text_mask

truetype = pytest.mark.skipif(not has_truetype(), reason="this OpenCV has no TrueType fonts")


def same(first: str, second: str) -> bool:
    a, b = text_mask(first, 24), text_mask(second, 24)
    return a.shape == b.shape and bool((a == b).all())


@truetype
@pytest.mark.parametrize("name", ["xoài", "çilek", "芒果", "манго", "マンゴー", "망고", "Ấ"])
def test_other_alphabets_are_not_question_marks(name: str) -> None:
    plain = "".join(c for c in unicodedata.normalize("NFD", name) if ord(c) < 128)
    question = "".join(c if c.isascii() else "?" for c in name)
    assert not same(name, question)
    assert not same(name, plain or "?")
    assert text_mask(name, 24).max() == 255


@truetype
def test_a_missing_glyph_is_a_question_mark() -> None:
    """Keeps the test above honest: "?" is what OpenCV draws for what it cannot."""
    assert same("\u0e22\u0e38\u0e07", "???")


def test_accents_in_two_parts_look_like_accents_in_one() -> None:
    assert same(unicodedata.normalize("NFD", "xoài"), "xoài")


def test_text_is_anti_aliased() -> None:
    mask = text_mask("person 87%", 16)
    assert ((mask > 20) & (mask < 235)).sum() > 30


@pytest.mark.parametrize("font", ["built in", "strokes"])
@pytest.mark.parametrize("text_px", [8, 9, 10, 11, 13, 16, 25, 40, 128])
def test_height_depends_on_the_size_alone_and_ink_stays_inside(
    text_px: int, font: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if font == "strokes":
        monkeypatch.setattr(lettering, "has_truetype", lambda: False)
    masks = [text_mask(text, text_px) for text in ("x", "Ag|jpqy", "xoài çilek", "")]
    assert len({mask.shape[0] for mask in masks}) == 1
    for mask in masks:
        assert mask[:, 0].max(initial=0) == 0
        assert mask[:, -1].max(initial=0) == 0
        assert mask[0].max(initial=0) == mask[-1].max(initial=0) == 0


def test_a_line_feed_does_not_start_a_line() -> None:
    assert same("cat\ndog", "cat dog")
    assert same("cat\0dog", "cat dog")


def test_without_truetype_accents_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "has_truetype", lambda: False)
    assert same("xoài çilek", "xoai cilek")
    assert same("芒果", "??")
    assert not same("xoai", "????")
    assert np.count_nonzero(text_mask("person", 16)) > 50
