"""One colour for each class, far from the others and the same in every run and every model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # blue, green, red; 0..255

PALETTE_SIZE = 96  # colours before they repeat; COCO has 80 classes

# Oklab's two matrices, transposed: linear RGB to cone response, its cube root to Oklab.
RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)


def class_color(label: int) -> Color:
    """The colour of class `label`, however many classes the model has; repeats after 96."""
    return _palette()[label % PALETTE_SIZE]


def ink_on(color: Color) -> int:
    """The grey level of text that reads best on this colour: 0 (black) or 255 (white)."""
    luminance = float((np.array(color[::-1]) / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722))
    # 0.179 is where black and white have the same contrast ratio (WCAG 2, relative luminance).
    return 0 if luminance > 0.179 else 255


@lru_cache(maxsize=2 * PALETTE_SIZE)
def text_shades(color: Color) -> UInt8:
    """From paper of this colour (row 0) to its ink (row 255): (256, 3) BGR, looked up, not mixed.

    Anti-aliased text is then one indexing: `text_shades(color)[coverage]`.
    """
    ink = np.linspace(0, 1, 256)[:, None]
    shades: UInt8 = np.rint((1 - ink) * color + ink * ink_on(color)).astype(np.uint8)
    return shades


@lru_cache(maxsize=1)
def _palette() -> tuple[Color, ...]:
    """Colours each as far as can be, in Oklab, from all those before it (greedy farthest point).

    Picked from saturated colours of middle lightness: greys vanish in photographs.
    """
    steps = np.linspace(0, 1, 11)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab(rgb)
    vivid = (lab[:, 0] > 0.48) & (lab[:, 0] < 0.92) & (np.hypot(lab[:, 1], lab[:, 2]) > 0.1)
    lab, rgb = lab[vivid], rgb[vivid]
    pick = int(np.argmin(np.linalg.norm(rgb - (0.0, 0.7, 1.0), axis=1)))  # sky blue for class 0
    distance = np.full(len(lab), np.inf)
    colors: list[Color] = []
    for _ in range(PALETTE_SIZE):
        red, green, blue = np.rint(rgb[pick] * 255).astype(int).tolist()
        colors.append((blue, green, red))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[pick], axis=1))
        pick = int(np.argmax(distance))
    return tuple(colors)


def oklab(rgb: Float64) -> Float64:
    """sRGB (N, 3) in 0..1 to Oklab (N, 3): lightness 0..1, green-red, blue-yellow.

    B. Ottosson, "A perceptual color space for image processing", 2020. Not OpenCV's Lab, whose
    first call builds tables for 90 ms.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: Float64 = np.cbrt(linear @ RGB_TO_LMS) @ LMS_TO_OKLAB
    return lab
