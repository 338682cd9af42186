"""`detector detect`: boxes in pictures."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from detector.commands.options import ModelOptions
from detector.detections import Detections
from detector.errors import DetectorError
from detector.frame import Frame
from detector.sinks import open_sinks, record


@dataclass(frozen=True)
class Detect:
    """Find objects in pictures and print them."""

    pictures: tyro.conf.Positional[tuple[str, ...]]
    """Picture files; for folders, videos and cameras see `detector demo`."""
    save: str | None = None
    """Also write each annotated picture into this folder."""
    json: bool = False
    """Print one JSON object a picture instead of a table."""
    options: tyro.conf.OmitArgPrefixes[ModelOptions] = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Returns the exit code: 0, or 2 when a picture could not be read."""
        from detector.draw import draw_detections
        from detector.images import quiet_opencv, read_image

        if not self.pictures:
            raise DetectorError("detect: no picture named; expected one or more files")
        quiet_opencv()
        start = time.perf_counter()
        detector = self.options.load()
        loaded = time.perf_counter()
        unread = 0
        sinks = open_sinks(self.save + os.sep, None, None) if self.save else []
        for index, name in enumerate(self.pictures):
            try:
                image = read_image(name)
            except DetectorError as error:
                print(f"error: {error}", file=sys.stderr)
                unread += 1
                continue
            found, timing = detector.detect_timed(image)
            frame = Frame(image, index, time.perf_counter(), Path(name).name)
            self._print(name, frame, found)
            for sink in sinks:
                draw_detections(image, found)
                sink.write(frame, image, found)
            print(f"{name}: {len(found)} found in {sum(vars(timing).values()):.1f} ms", file=sys.stderr)
        for sink in sinks:
            sink.close()
        if unread:
            print(f"{unread} of {len(self.pictures)} pictures could not be read", file=sys.stderr)
        print(_cost(detector.engine.description, loaded - start), file=sys.stderr)
        return 2 if unread else 0

    def _print(self, name: str, frame: Frame, found: Detections) -> None:
        if self.json:
            print(json.dumps({"path": name, **record(frame, found)}, ensure_ascii=False))
            return
        for box, score, kind in found:
            x1, y1, x2, y2 = (round(float(v)) for v in box)
            print(f"{kind:<16} {score:6.1%}   {x1:>5} {y1:>5} {x2:>5} {y2:>5}")


def _cost(engine: str, load_s: float) -> str:
    return f"{engine}: loaded in {load_s:.2f} s{peak_memory()}"


def peak_memory() -> str:
    """`, peak memory 123 MB` where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f", peak memory {peak / (1e6 if sys.platform == 'darwin' else 1e3):.0f} MB"
