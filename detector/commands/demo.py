"""`detector demo` and `demo.py`: boxes on the screen, live."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import tyro

from detector.commands.options import ModelOptions
from detector.errors import DetectorError, SourceLostError
from detector.frame import Source
from detector.sinks import Sink
from detector.stats import RunStats

if TYPE_CHECKING:
    from detector.autosize import AutoSize
    from detector.predictor import Detector

FALLBACK_VIDEO, FALLBACK_FOLDER = "detector-demo.mp4", "detector-demo"
PICTURES_FPS = 1.0  # a folder in a window or on a page: time to look at each


@dataclass(frozen=True)
class Demo:
    """Detect live: a camera, a stream, a video or pictures, shown, saved or both."""

    source: str = "auto"
    """Camera number or device, video, picture, folder, glob, rtsp:// or http:// address, or
    "sample". Default: camera 0, or the built-in sample where there is none."""
    view: Literal["auto", "window", "web", "none"] = "auto"
    """Where to show it: a window, a browser page, or nowhere. Files are shown at their own speed
    and stay until q; with none they run as fast as they can. Default: a window if there can be
    one; else a page for live sources, and a file for the rest."""
    save: str | None = None
    """Write the annotated frames: a video (out.mp4) or a folder of pictures."""
    json: str | None = None
    """Write one line of JSON a frame to this file; "-" prints them."""
    max_frames: int = 0
    """Stop after so many frames; 0 for no limit."""
    loop: bool = False
    """Start a file again at its end."""
    retry: int = 10
    """Tries in a row to get a lost camera or stream back before giving up (exit code 3)."""
    fps: float = 30.0
    """Frames a second that --size auto holds."""
    overlay: bool = True
    """Write frame rate and times onto the picture."""
    host: str = "127.0.0.1"
    """Address that --view web listens on; 0.0.0.0 shows it to the whole network."""
    port: int = 8000
    """Port of --view web."""
    options: tyro.conf.OmitArgPrefixes[ModelOptions] = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Process until the end, q, Ctrl-C or SIGTERM; all of them are success (0)."""
        stop = threading.Event()
        with ExitStack() as stack:
            stack.enter_context(stop_on_signals(stop))
            self._check()
            source, plan = self._open_source()
            stack.enter_context(closing(source))
            plan._where_to_show(source)._run(source, stack, stop)
        return 0

    def _check(self) -> None:
        """What can be refused before anything is opened."""
        from detector.views import window_problem

        if self.max_frames < 0:
            raise DetectorError(f"--max-frames {self.max_frames}: expected 0 or more")
        if self.view == "web" and not 0 <= self.port <= 65535:
            raise DetectorError(f"--port {self.port}: expected 0 (any free one) to 65535")
        if self.view == "window" and (problem := window_problem()):
            raise DetectorError(problem)

    def _open_source(self) -> tuple[Source, Demo]:
        """The source, and this with `source` resolved."""
        from detector.camera import open_source

        spec = self.source
        if spec == "auto":
            try:
                return open_source("0", retry=self.retry), replace(self, source="0")
            except DetectorError as error:
                say(f"no camera ({error}): taking the built-in sample")
                spec = "sample"
        source = open_source(spec, loop=self.loop, retry=self.retry)
        return source, replace(self, source=spec)

    def _where_to_show(self, source: Source) -> Demo:
        """This with `view` and `save` resolved, saying why when there is no window."""
        from detector.views import window_problem

        if self.view != "auto":
            return self
        problem = window_problem()
        if problem is None:
            return replace(self, view="window")
        problem = problem.removeprefix("--view window: ").partition(";")[0]
        if source.is_live:
            say(f"no window ({problem}): showing it in a browser instead")
            return replace(self, view="web")
        if self.save or self.json:
            return replace(self, view="none")
        # Pictures have no frame rate: they go to a folder, one file each.
        save = FALLBACK_VIDEO if source.fps else FALLBACK_FOLDER
        say(f"no window ({problem}): writing to {save} instead")
        return replace(self, view="none", save=save)

    def _run(self, source: Source, stack: ExitStack, stop: threading.Event) -> None:
        """Open what is left, cheapest to refuse first, and process."""
        import cv2

        from detector.cpu import usable_cores
        from detector.live import LiveRun
        from detector.sinks import open_sinks
        from detector.views import open_view

        # OpenCV's own threads would take the cores from the network: with them its small resize
        # costs a third of the frames a second.
        cv2.setNumThreads(1)
        sinks = open_sinks(self.save, self.json, source.fps, self.source)
        places = [place for place in (self.save, self.json) if place and place != "-"]
        stats = RunStats()
        stack.enter_context(ending(sinks, places, stats))
        view = open_view(self.view, host=self.host, port=self.port)
        stack.enter_context(closing(view))
        if stop.is_set():
            return
        streams = 1 if source.is_live else (self.options.threads or usable_cores())
        detector = self._detector(streams)
        about = f"{detector.path.name} at {detector.at}, {detector.engine.description}"
        say(f"{source.description}: {about}")
        if url := getattr(view, "url", ""):
            say(f"watch it at {url} (Ctrl-C ends)")
        run = LiveRun(source, detector, view, sinks, say, stop, stats=stats)
        run.max_frames, run.overlay = self.max_frames, self.overlay
        if self.view != "none" and not source.is_live:
            run.pace_fps, run.hold = source.fps or PICTURES_FPS, True
        try:
            run.run()
        finally:
            for line in [*stats.summary(), *source.warnings]:
                say(line)

    def _detector(self, streams: int) -> Detector | AutoSize:
        """What detects: of one size, of several, or of one that follows the load."""
        if self.options.size != "auto":
            return self.options.load(streams=streams)
        from detector.autosize import AutoSize

        for name, given in (("scales", self.options.scales), ("tiles", self.options.tiles > 1)):
            if given:
                raise DetectorError(f"--size auto and --{name} exclude each other; choose one")
        return AutoSize(lambda side: replace(self.options, size=side).load(), self.fps, say=say)


def say(line: str) -> None:
    """One line to the user, on stderr: stdout may be carrying JSON."""
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


@contextmanager
def ending(sinks: Sequence[Sink], places: Sequence[str], stats: RunStats) -> Iterator[None]:
    """Finalises every sink at the end and names the places written, also when the source is lost.

    Raises the first DetectorError of a sink, unless another error is on its way already.
    """
    try:
        yield
    except BaseException as error:
        if close_all(sinks) is None and isinstance(error, SourceLostError):
            tell_written(places, stats)
        raise
    if (failed := close_all(sinks)) is not None:
        raise failed
    tell_written(places, stats)


def tell_written(places: Sequence[str], stats: RunStats) -> None:
    """One line a place; without a frame nothing was written."""
    for place in places if stats.frames else ():
        say(f"written: {place}")


def close_all(sinks: Sequence[Sink]) -> DetectorError | None:
    """Closes each, whatever happens to the others; the first error."""
    errors = [error for sink in sinks if (error := error_of_closing(sink)) is not None]
    return errors[0] if errors else None


def error_of_closing(sink: Sink) -> DetectorError | None:
    """What went wrong, if anything."""
    try:
        sink.close()
    except DetectorError as error:
        return error
    return None


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`; a second one kills, should ending hang."""

    def handle(number: int, _: object) -> None:
        stop.set()
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
