"""`detector detect`: boxes in pictures."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from detector.commands.options import ModelGroup, ModelOptions, Names, shown
from detector.errors import DetectorError

if TYPE_CHECKING:
    from detector.detections import Detections
    from detector.frame import Frame
    from detector.predictor import Detector

NAME_WIDTH = 40  # longer file names push their own line to the right, not all


@dataclass(frozen=True)
class Detect:
    """Find objects in pictures and print them: a line each, pixels from the top left corner."""

    pictures: Annotated[Names, tyro.conf.Positional, shown("PICTURE [PICTURE ...]")] = None
    """Picture files; for folders, videos and cameras see `detector demo`."""
    save: Annotated[str | None, shown("FOLDER", "not saved")] = None
    """Also write each annotated picture into this folder."""
    json: bool = False
    """Print one JSON object a picture instead of a table."""
    options: ModelGroup = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Returns the exit code: 0, or 2 when a picture could not be read."""
        from detector.images import quiet_opencv

        if not self.pictures:
            raise DetectorError(
                "detect: no picture named; expected one or more files, in front of --classes and "
                "--scales, which take every word behind them"
            )
        quiet_opencv()
        with ExitStack() as stack:
            sinks = self._sinks(stack)
            start = time.perf_counter()
            detector = self.options.load()
            loaded_s = time.perf_counter() - start
            return self._run(self.pictures, detector, loaded_s, sinks)

    def _sinks(self, stack: ExitStack) -> list[Any]:
        if self.save is None:
            return []
        from detector.sinks import open_sinks

        return [stack.enter_context(closing(s)) for s in open_sinks(self.save + os.sep, None, None)]

    def _run(
        self, pictures: Sequence[str], detector: Detector, loaded_s: float, sinks: Sequence[Any]
    ) -> int:
        width = min(NAME_WIDTH, max(map(len, pictures)))
        if not self.json:
            print(f"{'picture':<{width}}  {'class':<16} {'score':>6}  {_edges(_HEADINGS)}")
        unread, objects, full, spent_ms = 0, 0, 0, []
        for index, name in enumerate(pictures):
            try:
                frame, found, took_ms = _detect(detector, name, index)
            except DetectorError as error:
                sys.stdout.flush()  # keeps the two in order where both go to one place
                print(f"error: {error}", file=sys.stderr)
                unread += 1
                continue
            spent_ms.append(took_ms)
            objects += len(found)
            full += len(found) == detector.top_k
            for line in [_as_json(name, frame, found)] if self.json else _rows(name, found, width):
                print(line)
            _save(sinks, frame, found)
        sys.stdout.flush()
        if unread:
            print(f"{unread} of {len(pictures)} pictures could not be read", file=sys.stderr)
        if full:
            print(_limit(full, detector.top_k), file=sys.stderr)
        for line in _cost(detector, loaded_s, objects, spent_ms):
            print(line, file=sys.stderr)
        return 2 if unread else 0


_HEADINGS = ("left", "top", "right", "bottom")


def _limit(full: int, top_k: int) -> str:
    """That there may be more than is shown, in so many pictures."""
    pictures = f"{full} picture{'s' if full > 1 else ''}"
    return f"{pictures} with as many objects as --top-k {top_k} allows: a larger one may show more"


def _detect(detector: Detector, name: str, index: int) -> tuple[Frame, Detections, float]:
    from detector.frame import Frame
    from detector.images import read_image

    image = read_image(name)
    found, timing = detector.detect_timed(image)
    took_ms = timing.pre_ms + timing.infer_ms + timing.post_ms
    return Frame(image, index, time.perf_counter(), Path(name).name), found, took_ms


def _save(sinks: Sequence[Any], frame: Frame, found: Detections) -> None:
    if sinks:
        from detector.draw import draw_detections

        draw_detections(frame.image_bgr, found)
    for sink in sinks:
        sink.write(frame, frame.image_bgr, found)


def _as_json(name: str, frame: Frame, found: Detections) -> str:
    """ASCII, whatever the names: an escape that the terminal chose would be no JSON."""
    from detector.sinks import record

    return json.dumps({"path": name, **record(frame, found)})


def _rows(name: str, found: Detections, width: int) -> Iterator[str]:
    """A line a detection, or one that says there is none."""
    for box, score, kind in found:
        edges = _edges([str(round(float(edge))) for edge in box])
        yield f"{name:<{width}}  {kind:<16} {score:6.1%}  {edges}"
    if len(found) == 0:
        yield f"{name:<{width}}  -"


def _edges(words: Sequence[str]) -> str:
    return " ".join(f"{word:>6}" for word in words)


def _cost(
    detector: Detector, loaded_s: float, objects: int, spent_ms: Sequence[float]
) -> Iterator[str]:
    """What it took, for stderr."""
    if spent_ms:
        median = sorted(spent_ms)[len(spent_ms) // 2]
        pictures = f"{len(spent_ms)} picture{'s' if len(spent_ms) > 1 else ''}"
        yield f"{pictures}, {objects} found, {median:.1f} ms a picture (median, without reading)"
    engine = detector.engine
    yield (
        f"{detector.path.name} at {detector.at}, {engine.description}: "
        f"loaded in {loaded_s:.2f} s ({engine.origin}){peak_memory()}"
    )


def peak_memory(status: Path = Path("/proc/self/status")) -> str:
    """`, peak memory 123 MB` where the system tells, else nothing."""
    try:
        # Linux's getrusage also counts what the process that started this one held.
        text = status.read_text()
        peak_mb = int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError, ValueError):
        try:
            import resource
        except ImportError:  # Windows
            return ""
        unit = 1 if sys.platform == "darwin" else 1024
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return f", peak memory {peak_mb:.0f} MB"
