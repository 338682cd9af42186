"""Renders detector/assets/sample.mp4 from photographs that scikit-image's wheel carries.

Run: python scripts/render_sample.py [OUTPUT]
Needs scikit-image (`pip install scikit-image`) and the ffmpeg program; the clip needs neither.

Each scene is one photograph (or several side by side) under a window that pans and zooms; scenes
fade into each other. No random numbers: the same OpenCV and ffmpeg give the same file. Sources and
licences: detector/assets/NOTICE. scikit-image's motorcycle is left out: it states no licence.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Window = tuple[float, float, float]  # centre x, centre y, width; pixels of the scene's picture

WIDTH, HEIGHT, FPS = 640, 480, 25
FADE = 10  # frames two scenes share: short, since a blend shows no clean object
# H.264 because each OpenCV wheel reads it, browsers play it, and it is half the size of MPEG-4.
# OpenCV's own writer has no setting for quality and made 3 MB. One thread, no dates or versions
# in the file: the same ffmpeg writes the same bytes.
ENCODER = (
    *("-c:v", "libx264", "-preset", "slow", "-crf", "26", "-g", "50", "-pix_fmt", "yuv420p"),
    *("-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
    *("-movflags", "+faststart", "-bsf:v", "filter_units=remove_types=6"),  # no encoder banner
)
OUTPUT = Path(__file__).parents[1] / "detector" / "assets" / "sample.mp4"


@dataclass(frozen=True)
class Scene:
    """Pictures side by side at one height, and the window's way over them."""

    pictures: tuple[str, ...]
    frames: int
    start: Window
    end: Window


# Windows keep the subject whole, or nearly so: a detector has to name it in most frames.
SCENES = (
    Scene(("astronaut.png",), 60, (240, 180, 440), (256, 200, 512)),
    Scene(("chelsea.png",), 55, (215, 150, 330), (235, 150, 400)),
    Scene(("coffee.png",), 55, (300, 200, 530), (330, 190, 400)),
    Scene(("camera.png",), 50, (200, 205, 380), (256, 240, 512)),
    Scene(("astronaut.png", "chelsea.png", "coffee.png"), 70, (350, 256, 680), (1600, 256, 680)),
)


def main(output: Path) -> None:
    """Write the clip; under a temporary name first, so that a failure leaves the old one."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SystemExit("no ffmpeg on the path; run: apt-get install ffmpeg (or your system's)")
    frames = join([render(scene) for scene in SCENES])
    unfinished = output.with_name(f"unfinished-{output.name}")
    size = ["-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)]
    source = ["-f", "rawvideo", *size, "-i", "pipe:0"]
    command = [ffmpeg, "-v", "error", "-y", *source, *ENCODER, str(unfinished)]
    try:
        subprocess.run(command, input=np.array(frames).tobytes(), check=True)
    except subprocess.CalledProcessError as error:
        unfinished.unlink(missing_ok=True)
        raise SystemExit(f"{output}: not written; see ffmpeg's message above") from error
    unfinished.replace(output)
    print(f"{output}: {len(frames)} frames, {output.stat().st_size / 1000:.0f} kB")


def join(scenes: list[list[UInt8]]) -> list[UInt8]:
    """All scenes' frames in a row; the last FADE of each are blended with the next one's first."""
    frames = scenes[0]
    for scene in scenes[1:]:
        fades = zip(frames[-FADE:], scene[:FADE], strict=True)
        blend = [mix(old, new, (i + 1) / (FADE + 1)) for i, (old, new) in enumerate(fades)]
        frames = frames[:-FADE] + blend + scene[FADE:]
    return frames


def mix(old: UInt8, new: UInt8, share: float) -> UInt8:
    """`share` (0..1) of the new frame, the rest of the old."""
    return np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0), np.uint8)


def render(scene: Scene) -> list[UInt8]:
    """One scene's frames, (HEIGHT, WIDTH, 3); the window starts and stops gently."""
    picture = side_by_side([read(name) for name in scene.pictures])
    start, end = np.array(scene.start), np.array(scene.end)
    frames = []
    for t in np.linspace(0, 1, scene.frames):
        x, y, width = start + (end - start) * t * t * (3 - 2 * t)
        frames.append(view(picture, (float(x), float(y), float(width))))
    return frames


def view(picture: UInt8, window: Window) -> UInt8:
    """What the window sees, resampled to the clip's size; the picture's edges are mirrored."""
    x, y, width = window
    zoom = WIDTH / width
    move = np.array([[zoom, 0, WIDTH / 2 - zoom * x], [0, zoom, HEIGHT / 2 - zoom * y]])
    frame = cv2.warpAffine(
        picture, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(frame, np.uint8)


def side_by_side(pictures: list[UInt8]) -> UInt8:
    """The pictures in a row, scaled to the height of the first."""
    height = pictures[0].shape[0]
    row = [cv2.resize(p, (round(p.shape[1] * height / p.shape[0]), height)) for p in pictures]
    return np.asarray(np.hstack(row), np.uint8)


def read(name: str) -> UInt8:
    """A photograph of scikit-image's package as BGR; grey ones become three channels."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("scikit-image is not installed; run: pip install scikit-image")
    path = Path(package.origin).parent / "data" / name
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{path}: no such picture in this scikit-image; 0.26 has it")
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
