"""What a run chooses by itself where it is told nothing: input size, flips, learning rates."""

from __future__ import annotations

from dataclasses import replace

from detector.data.example import Dataset
from detector.data.flips import flips_for, mirror_images
from detector.training.options import FROM_SCRATCH, RATES, Settings
from detector.training.size import sized


def settle(settings: Settings, train: Dataset) -> tuple[Settings, list[str]]:
    """The settings with nothing left open, and lines that say why where that is not plain.

    Raises DetectorError for weights that cannot be used.
    """
    chosen, why = sized(settings, train)
    lines = [why] if why else []
    names = train.class_names
    if settings.flips is None and (pair := mirror_images(names)):
        lines.append(
            f"'{pair[0]}' and '{pair[1]}' are mirror images, so no picture is mirrored (--flips 0)"
        )
    rates = settings.recipe.rates(FROM_SCRATCH if settings.weights == "none" else RATES)
    recipe = replace(settings.recipe, **rates._asdict())
    return replace(chosen, flips=flips_for(names, settings.flips), recipe=recipe), lines
