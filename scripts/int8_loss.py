"""What an int8 file loses on pictures that decided nothing: as they are, and in nearby views too.

    python scripts/int8_loss.py model.onnx model-int8.onnx mango.yaml

AP of one view of some dozen pictures swings by points when only rounding changes; the mean of
eight views (`detector.export.held`) hardly does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tyro

from detector import metadata
from detector.data.flips import flips_for
from detector.data.load import load_splits
from detector.data.split import thinned
from detector.export.held import MOST_LOOKS, Held
from detector.export.verified import HELD


def main(
    floats: tyro.conf.Positional[Path],
    int8: tyro.conf.Positional[Path],
    data: tyro.conf.Positional[str],
    /,
) -> None:
    """Measure both on the val split, or on 200 of its pictures.

    Args:
        floats: The float model file.
        int8: Its int8 form.
        data: A data card or a folder.
    """
    val = load_splits(data)["val"]
    val = replace(val, examples=tuple(thinned(val.examples, HELD)))
    side = metadata.read(floats).input_size
    for looks in (1, MOST_LOOKS):
        held = Held(val, side, looks, flips_for(val.class_names))
        before, after = (held.average_precision(path) for path in (floats, int8))
        views = f"{len(held)} pictures, {looks} view{'s' * (looks > 1)} of each"
        print(f"{views}: AP {before:.2f} -> {after:.2f}, {before - after:.2f} lost")


if __name__ == "__main__":
    tyro.cli(main)
