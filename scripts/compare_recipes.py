"""Which recipe learns best: each trained on the same data, by the same number of pictures.

    python scripts/compare_recipes.py raccoon.yaml fruit.yaml --out compare

trains every recipe on every data set with every seed and prints a table. A data set's own val
split is never looked at: a quarter of its train split, another one for each seed, is kept out to
judge by. What is done already stands in OUT/results.csv and is not done again.
"""

from __future__ import annotations

import csv
import dataclasses
import shlex
import statistics
import tempfile
import time
from pathlib import Path

from detector.training import process

process.prepare()  # before torch is loaded

import tyro

from detector.data.load import load_splits, open_card
from detector.data.split import split_dataset
from detector.training import run
from detector.training.history import read_curves
from detector.training.options import Machine, Settings

KEPT_OUT = 0.25
RECIPES = {
    "default: quality + smooth L1": "",
    "focal + smooth L1": "--class-loss focal",
    "focal + GIoU": "--class-loss focal --box-loss giou --box-weight 2",
    "OHEM + smooth L1 (SSD)": "--class-loss ohem",
    "dynamic, quality + GIoU": "--matcher dynamic --box-loss giou --box-weight 2",
    "plain": (
        "--optimiser sgd --lr 1e-3 --head-lr 1e-2 --bn frozen --positive 0.5 --negative 0.5 "
        "--class-loss focal --crops 0 --zoom 0 --colours 0 --no-kin --vote 0"
    ),
}
Row = dict[str, str]


def main(
    data: tyro.conf.Positional[tuple[str, ...]],
    /,
    out: Path = Path("compare"),
    pictures: int = 960,
    seeds: int = 3,
    recipe: tuple[str, ...] = (),
    own_val: bool = False,
) -> None:
    """Train and compare.

    Args:
        data: Data cards or folders.
        out: Folder of the results.
        pictures: How many are seen in a run.
        seeds: Runs of each recipe on each data set.
        recipe: Only these, or new ones as NAME=OPTIONS of `detector train`.
        own_val: Judge by the data's own val split: to report, not to choose.
    """
    chosen = dict(text.split("=", 1) if "=" in text else (text, RECIPES[text]) for text in recipe)
    out.mkdir(parents=True, exist_ok=True)
    rows = _read(out / "results.csv")
    done = {(row["data"], row["recipe"], row["seed"]) for row in rows}
    for seed in range(seeds):
        for source in data:
            name = open_card(source).name
            for title, options in (chosen or RECIPES).items():
                if (name, title, str(seed)) in done:
                    continue
                row = _train(source, options, seed, pictures, own_val)
                rows.append({"data": name, "recipe": title, "seed": str(seed), **row})
                _write(out / "results.csv", rows)
                print(rows[-1], flush=True)
    print(table(rows, "best" if own_val else "AP"))


def _train(source: str, options: str, seed: int, pictures: int, own_val: bool) -> Row:
    """One run: its last and best AP, and pictures a second."""
    splits = load_splits(source)
    train, val = splits["train"], splits["val"]
    if not own_val:
        train, val = split_dataset(train, KEPT_OUT, seed)
    settings = tyro.cli(Settings, args=shlex.split(options))
    settings = dataclasses.replace(
        settings,
        data=source,
        seed=seed,
        epochs=pictures / len(train.examples),
        size=settings.size or 300,  # the same for all, unless a recipe is about that
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        pace = run.train(settings, Machine(), Path(folder), run.Data("compared", train, val))
        speed = pictures / (time.monotonic() - start)
        last = read_curves(Path(folder)).measured[-1]
    return {
        "AP": f"{last[1]:.2f}",
        "AP50": f"{last[2]:.2f}",
        "best": f"{pace.best:.2f}",
        "speed": f"{speed:.1f}",
        "pictures": str(pictures),
    }


def table(rows: list[Row], column: str) -> str:
    """Mean of a column (and the seeds' standard deviation) by recipe and data set, in markdown."""
    sets = list(dict.fromkeys(row["data"] for row in rows))
    lines = [f"| recipe | {' | '.join(sets)} | mean |", "|---|" + "---|" * (len(sets) + 1)]
    for title in dict.fromkeys(row["recipe"] for row in rows):
        cells, means = [], []
        for name in sets:
            values = [
                float(row[column]) for row in rows if (row["data"], row["recipe"]) == (name, title)
            ]
            if not values:
                cells.append("")
                continue
            means.append(statistics.mean(values))
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{means[-1]:.1f} ({spread:.1f})")
        lines.append(f"| {title} | {' | '.join(cells)} | {statistics.mean(means):.1f} |")
    return "\n".join(lines)


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    tyro.cli(main)
