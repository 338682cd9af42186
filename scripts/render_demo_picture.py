"""Render docs/demo.jpg, the README's picture: frames of the sample clip as the demo shows them.

python scripts/render_demo_picture.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector import Detector
from detector.camera import open_source
from detector.draw import draw_detections

FRAMES = (20, 90, 125)
SIZE_WH = (400, 300)
OUT = Path(__file__).parents[1] / "docs" / "demo.jpg"


def main() -> None:
    """Write the picture."""
    detector = Detector(precision="float")
    source = open_source("sample")
    shown = []
    while not source.ended:
        frame = source.read(5.0)
        if frame is not None and frame.index in FRAMES:
            image = cv2.resize(frame.image_bgr, SIZE_WH, interpolation=cv2.INTER_AREA)
            draw_detections(image, detector.detect_timed(image)[0])
            shown.append(image)
    source.close()
    cv2.imwrite(str(OUT), np.hstack(shown), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
