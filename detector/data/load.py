"""A card or a folder in, its train and val data out, with the same classes in each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detector.data.card import DEFAULT_VAL, Card, folder_card, read_card
from detector.data.class_edits import plan_classes
from detector.data.example import Dataset, Problem, relabel, union_names
from detector.data.formats import Folder, find_splits, open_folder, read_all, read_splits
from detector.data.split import split_dataset
from detector.errors import DetectorError


def load_data(data: str | Path, split: str) -> Dataset:
    """One split ('train', 'val', 'test') of a data card, a folder or a label file.

    Labels mean the same in every split. Raises DetectorError as `load_splits` does, and for a
    split the data does not have.
    """
    splits = load_splits(data)
    if split not in splits:
        raise DetectorError(f"{data}: no split '{split}'; it has {', '.join(splits)}")
    return splits[split]


def load_splits(data: str | Path) -> dict[str, Dataset]:
    """All splits, 'train' and 'val' always among them.

    They are what the card says, else what the folder brings, else a seeded split (`val` of the
    card, or a fifth). Raises DetectorError when the data is missing, empty, has no boxes to learn
    from or to be judged by, or a class the card does not know.
    """
    card = open_card(data)
    folder = _open_root(card)
    splits = _read(card, folder)
    new_name, order = plan_classes(card.classes, union_names(splits.values()), str(card.path))
    splits = {key: relabel(part, new_name, order) for key, part in splits.items()}
    if "val" not in splits:
        fraction = DEFAULT_VAL if card.val is None else card.val
        try:
            train, val = split_dataset(splits["train"], fraction, card.seed)
        except DetectorError as error:
            raise DetectorError(f"{card.path}: {error}") from None
        splits = {**splits, "train": train, "val": val}
    _refuse_useless(card, splits)
    return {**splits, "val": _flag_unlearnt(splits["train"], splits["val"])}


def open_card(data: str | Path) -> Card:
    """The card in a YAML file, or that of a bare folder, COCO json or CSV.

    Raises DetectorError for a path that does not exist and for a card that is wrong.
    """
    path = Path(data)
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        return read_card(path)
    if not path.exists():
        raise DetectorError(f"{path}: no such data card or folder; check the path")
    return folder_card(path)


def _open_root(card: Card) -> Folder:
    """Look at the card's root. Raises DetectorError, saying how to get what is missing."""
    if not card.root.exists():
        if card.download:
            urls = ", ".join(entry.url for entry in card.download)
            hint = f"run 'detector fetch {card.path}', or unpack there yourself: {urls}"
        else:
            hint = "put the pictures and labels there, or change root:"
        raise DetectorError(f"{card.path}: no folder {card.root} (root); {hint}")
    return open_folder(card.root, card.format, card.images, card.first_pixel)


def _read(card: Card, folder: Folder) -> dict[str, Dataset]:
    """'train' and maybe 'val' and 'test', their class names not yet made equal."""
    if card.splits:
        root = folder.tree.root
        sources = {k: tuple(root / part for part in parts) for k, parts in card.splits.items()}
        for name, paths in sources.items():
            for path in paths:
                if not path.exists():
                    raise DetectorError(
                        f"{card.path}: splits: {name}: no {path}; expected a list, a folder or "
                        "a label file, relative to root"
                    )
    else:
        sources = {} if card.val is not None else find_splits(folder)
    if "train" not in sources and "trainval" in sources:
        kept = {key: paths for key, paths in sources.items() if key == "test"}
        sources = {"train": sources["trainval"], **kept}
    if "train" not in sources:
        if card.splits:
            raise DetectorError(f"{card.path}: splits: no train; say which pictures to learn from")
        return {"train": read_all(folder)}
    wanted = {key: paths for key, paths in sources.items() if key in ("train", "val", "test")}
    return read_splits(folder, wanted)


def _refuse_useless(card: Card, splits: dict[str, Dataset]) -> None:
    """Raise DetectorError for a train or val that holds no pictures or no boxes."""
    for name in ("train", "val"):
        part = splits[name]
        odd = _summary(part.problems)
        if not part.examples:
            raise DetectorError(
                f"{card.path}: {name} holds no pictures{odd}; check root and splits"
            )
        if not part.class_counts().sum():
            raise DetectorError(
                f"{card.path}: {name} holds {len(part.examples)} pictures but no boxes{odd}; "
                "label some, or check that the label files are where the format wants them"
            )


def _summary(problems: tuple[Problem, ...]) -> str:
    """' (3 problems, first: ...)', or nothing."""
    return f" ({len(problems)} problems, the first: {problems[0]})" if problems else ""


def _flag_unlearnt(train: Dataset, val: Dataset) -> Dataset:
    """Val with a problem for each class it has and train lacks: its AP can only be 0."""
    learnt, judged = train.class_counts(), val.class_counts()
    problems = [
        Problem("split", "val", f"class '{name}' has {judged[k]} boxes here and none in train")
        for k, name in enumerate(train.class_names)
        if judged[k] and not learnt[k]
    ]
    return replace(val, problems=(*val.problems, *problems))
