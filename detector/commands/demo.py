"""`detector demo` and `demo.py`: boxes on the screen, live."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import tyro

from detector.commands.options import ModelOptions
from detector.errors import DetectorError
from detector.frame import Source
from detector.sinks import Sink
from detector.views import View

FALLBACK_VIDEO, FALLBACK_FOLDER = "detector-demo.mp4", "detector-demo"


@dataclass(frozen=True)
class Demo:
    """Detect live: a camera, a stream, a video or pictures, shown, saved or both."""

    source: str = "auto"
    """Camera number or device, video, picture, folder, glob, rtsp:// or http:// address, or
    "sample". Default: camera 0, or the built-in sample where there is none."""
    view: Literal["auto", "window", "web", "none"] = "auto"
    """Where to show it: a window, a browser page, or nowhere. Default: a window if there can be
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
    overlay: bool = True
    """Write frame rate and times onto the picture."""
    host: str = "127.0.0.1"
    """Address that --view web listens on; 0.0.0.0 shows it to the whole network."""
    port: int = 8000
    """Port of --view web."""
    options: tyro.conf.OmitArgPrefixes[ModelOptions] = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Process until the end, q, Ctrl-C or SIGTERM; all of them are success (0)."""
        if self.max_frames < 0:
            raise DetectorError(f"--max-frames {self.max_frames}: expected 0 or more")
        stop = threading.Event()
        with ExitStack() as stack:
            source, plan = self._open_source()
            stack.enter_context(closing(source))
            plan = plan._where_to_show(source)
            stack.enter_context(stop_on_signals(stop))
            plan._run(source, stack, stop)
        return 0

    def _open_source(self) -> tuple[Source, Demo]:
        """The source, and this with `source` resolved."""
        from detector.camera import open_source

        spec = self.source
        if spec == "auto":
            try:
                return open_source("0", retry=self.retry), replace(self, source="0")
            except DetectorError:
                say("no camera here: showing the built-in sample (--source names another)")
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
        if source.is_live:
            say(f"{problem}: showing it in a browser instead")
            return replace(self, view="web")
        if self.save or self.json:
            return replace(self, view="none")
        # Pictures have no frame rate: they go to a folder, one file each.
        save = FALLBACK_VIDEO if source.fps else FALLBACK_FOLDER
        say(f"{problem}: writing to {save} instead")
        return replace(self, view="none", save=save)

    def _run(self, source: Source, stack: ExitStack, stop: threading.Event) -> None:
        from detector.engine import usable_cores
        from detector.live import LiveRun
        from detector.sinks import open_sinks
        from detector.views import open_view

        sinks = open_sinks(self.save, self.json, source.fps, self.source)
        close_sinks = stack.enter_context(ending(sinks))
        streams = 1 if source.is_live else (self.options.threads or usable_cores())
        detector = self.options.load(streams=streams)
        view: View = open_view(self.view, host=self.host, port=self.port)
        stack.enter_context(closing(view))
        say(f"{source.description}: {detector.path.name} at {detector.size_hw[1]} px, "
            f"{detector.engine.description}")
        if url := getattr(view, "url", ""):
            say(f"watch it at {url} (Ctrl-C ends)")
        run = LiveRun(source, detector, view, sinks, say, stop, self.max_frames, self.overlay)
        try:
            run.run()
        finally:
            for line in [*run.stats.summary(), *source.warnings]:
                say(line)
        close_sinks()
        for place in (self.save, self.json if self.json != "-" else None):
            if place and run.stats.frames:
                say(f"written: {place}")


def say(line: str) -> None:
    """One line to the user, on stderr: stdout may be carrying JSON."""
    with suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


@contextmanager
def ending(sinks: Sequence[Sink]) -> Iterator[Closer]:
    """Finalises every sink once, whatever happens to the others."""
    closer = Closer(sinks)
    try:
        yield closer
    except BaseException:
        with suppress(DetectorError):  # the first error is the one to tell
            closer()
        raise
    closer()


class Closer:
    """Closes sinks; a call closes all and raises the first error, a second call does nothing."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._open = list(sinks)

    def __call__(self) -> None:
        errors: list[DetectorError] = []
        while self._open:
            try:
                self._open.pop(0).close()
            except DetectorError as error:
                errors.append(error)
        if errors:
            raise errors[0]


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`; a second one is handled as usual, should ending hang."""

    def handle(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
