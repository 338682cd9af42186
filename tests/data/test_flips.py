"""Whether pictures may be mirrored, as class names tell."""

import pytest

from detector.data.flips import flips_for, mirror_images


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("turn_left", "stop", "turn_right"), ("turn_left", "turn_right")),
        (("Right Hand", "LEFT hand"), ("LEFT hand", "Right Hand")),
        (("links", "rechts"), ("links", "rechts")),
        (("mano derecha", "mano izquierda"), ("mano izquierda", "mano derecha")),
        (("left shoe", "shoe"), None),  # shoes may be of either foot
        (("cleft", "bright", "right"), None),
        (("raccoon",), None),
        ((), None),
    ],
)
def test_classes_that_are_mirror_images(names, pair):
    assert mirror_images(names) == pair
    assert flips_for(names) == (0.5 if pair is None else 0.0)
    assert flips_for(names, 0.25) == 0.25  # who chose knows better
    assert flips_for(names, 0.0) == 0.0
