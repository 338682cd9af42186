"""`detector benchmark`: how fast, side by side in one run."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace

from detector.commands.options import ModelGroup, ModelOptions
from detector.errors import DetectorError

OPENCV = "OpenCV DNN loop, float"
BUSY = 0.5  # load a core from others above which figures mean little


@dataclass(frozen=True)
class Benchmark:
    """Time the demo, the bare engine and OpenCV's own DNN loop on one video, side by side."""

    source: str = "sample"
    """A video file, or "sample"."""
    rounds: int = 5
    """How often each is measured, in turn, after a warm-up; medians are printed."""
    frames: int = 200
    """Frames of the video a round."""
    options: ModelGroup = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Prints a markdown table; ratios are to OpenCV's DNN loop, round by round."""
        from detector import benchmark
        from detector.cpu import usable_cores
        from detector.sample import sample_path

        if self.rounds < 1 or self.frames < 1:
            raise DetectorError("benchmark: --rounds and --frames must be 1 or more")
        video = str(sample_path()) if self.source == "sample" else self.source
        if hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * usable_cores():
            print("warning: this machine is busy; trust the ratios only", file=sys.stderr)
        print(benchmark.machine())
        frames = benchmark.read_frames(video, self.frames)
        contestants: dict[str, benchmark.Contestant] = {}
        for precision in ("int8", "float"):
            options = replace(self.options, precision=precision)
            single, many = options.load(), options.load(streams=usable_cores())
            batches = benchmark.batches_of(frames, single.size_hw)
            run = benchmark.network_only
            contestants[f"network, 1 stream, {precision}"] = run(single.engine, batches)
            contestants[f"network, {many.engine.parallel} streams, {precision}"] = run(
                many.engine, batches
            )
            contestants[f"demo, {precision}"] = benchmark.demo_loop(many, video, len(frames))
        contestants[OPENCV] = benchmark.opencv_loop(single, video, len(frames))
        figures = benchmark.interleave(contestants, self.rounds)
        print(f"{video}: {len(frames)} frames a round, {self.rounds} rounds")
        print("\n".join(benchmark.table(figures, OPENCV)))
        for precision in ("int8", "float"):
            bare = f"network, {many.engine.parallel} streams, {precision}"
            kept = benchmark.share(figures, f"demo, {precision}", bare)
            print(f"the demo keeps {kept:.0%} of the {precision} network's own frames/s")
        return 0
