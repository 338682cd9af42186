"""`detector evaluate`: how good a model file is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from detector.commands.options import ModelGroup, ModelOptions


@dataclass(frozen=True)
class Evaluate:
    """COCO average precision of a model on labelled pictures (needs the train extra)."""

    data: Path
    """A folder with COCO's instances.json and images/."""
    options: ModelGroup = field(default_factory=ModelOptions)

    def run(self) -> int:
        """Prints six figures, in percent."""
        from detector.evaluation.coco import coco_ap, detect_all

        # COCO asks for every detection worth ranking, at most 100 a picture.
        options = replace(self.options, score=self.options.score or 0.001)
        detector = options.load()
        start = time.perf_counter()
        results = detect_all(self.data, detector, detector.class_names)
        spent = time.perf_counter() - start
        figures = coco_ap(self.data / "instances.json", results)
        print(f"{detector.path.name} at {detector.size_hw[1]} px, {detector.engine.description}")
        for name, value in figures.items():
            print(f"{name:<10} {value:6.2f}")
        print(f"{len(results)} detections in {spent:.1f} s")
        return 0
