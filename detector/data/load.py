"""A card or a folder in, its train and val data out, with the same classes in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from detector.data.account import counted
from detector.data.card import DEFAULT_VAL, Card, card_file, folder_card, known_cards, read_card
from detector.data.class_edits import plan_classes
from detector.data.example import Dataset, Problem, concatenate, relabel, union_names
from detector.data.formats import (
    Folder,
    find_splits,
    label_tables,
    open_folder,
    read_all,
    read_splits,
)
from detector.data.split import split_dataset
from detector.data.split_sources import Splits
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
    from or to be judged by, no class in both, or one the card does not know.
    """
    card = open_card(data)
    splits = _own_splits(card, _open_root(card))
    _refuse_useless(card, splits)
    if "val" not in splits:
        splits = _with_val(card, splits)
        _refuse_useless(card, splits)
    elif not (splits["train"].class_counts() * splits["val"].class_counts()).any():
        raise DetectorError(
            f"{card.path}: no class has boxes in both train and val, so nothing learned could be "
            "judged; mend the names, or the splits"
        )
    return {**splits, "val": _flag_unlearnt(splits["train"], splits["val"])}


@dataclass(frozen=True)
class JudgedData:
    """Data to judge by. split: which part, 'all' for every picture. tables: COCO's json files of
    the whole data, where it has that format. whole: whether `split` is all because there is no
    other, and not because it was asked for.
    """

    dataset: Dataset
    split: str
    tables: tuple[Path, ...]
    card: Card
    whole: bool


def load_judged(data: str | Path, split: str | None = None) -> JudgedData:
    """The pictures of one split; None: 'val' where the data or its card has one, else all.

    'val' of data without one is the part that training sets aside. Raises DetectorError for data
    that is missing, for a split it does not have, and when there is no box to be found.
    """
    card = open_card(data)
    folder = _open_root(card)
    splits = _own_splits(card, folder)
    alone = list(splits) == ["train"] and card.val is None and not card.splits
    chosen = split or ("all" if alone else "val")
    if chosen == "val" and "val" not in splits:
        splits = _with_val(card, splits)
    if chosen != "all" and chosen not in splits:
        raise DetectorError(f"{data}: no split '{chosen}'; it has {', '.join(splits)} and all")
    dataset = concatenate(list(splits.values())) if chosen == "all" else splits[chosen]
    if not dataset.class_counts().sum():
        raise DetectorError(
            f"{data}: {chosen} holds {len(dataset.examples)} pictures but no ground truth, not one "
            f"box to find{_summary(dataset.problems)}; check root and splits"
        )
    tables = label_tables(folder.tree, "coco") if folder.format == "coco" else []
    return JudgedData(dataset, chosen, tuple(tables), card, whole=alone and split is None)


def _own_splits(card: Card, folder: Folder) -> dict[str, Dataset]:
    """What the data and its card bring, 'val' not always among them; classes as the card says."""
    splits = _read(card, folder)
    names = union_names(splits.values())
    if not names:  # no boxes, which the callers say
        return splits
    new_name, order = plan_classes(card.classes, names, str(card.path))
    splits = {key: relabel(part, new_name, order) for key, part in splits.items()}
    return {key: _named(part) for key, part in splits.items()} if card.classes.names else splits


def _named(part: Dataset) -> Dataset:
    """Without the word that nothing names the classes, where the card did."""
    kept = tuple(p for p in part.problems if p.kind != "unnamed-classes")
    return replace(part, problems=kept)


def _with_val(card: Card, splits: dict[str, Dataset]) -> dict[str, Dataset]:
    """The splits with a seeded part of train as val."""
    fraction = DEFAULT_VAL if card.val is None else card.val
    try:
        train, val = split_dataset(splits["train"], fraction, card.seed)
    except DetectorError as error:
        raise DetectorError(f"{card.path}: {error}") from None
    return {**splits, "train": train, "val": val}


def open_card(data: str | Path) -> Card:
    """The card in a YAML file or called so, or that of a bare folder, COCO json, CSV or CVAT XML.

    What is there under that path comes before a card of that name. Raises DetectorError where there
    is neither, and for a card that is wrong.
    """
    if not str(data):
        raise DetectorError("no data named; expected a data card or a folder")
    path = Path(data)
    if not path.exists():
        called = card_file(path)
        if called is None:
            raise DetectorError(
                f"{path}: no such data card or folder; check the path, "
                f"or name one of {', '.join(known_cards())}"
            )
        path = called
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        return read_card(path)
    return folder_card(path)


def _open_root(card: Card) -> Folder:
    """Look at the card's root. Raises DetectorError, saying how to get what is missing."""
    if not card.root.exists() or (card.download and nothing_in(card.root)):
        hint = "put the pictures and labels there, or change root"
        if card.download:
            urls = ", ".join(entry.url for entry in card.download)
            hint += f", or run 'detector fetch {card.path}', or unpack there yourself: {urls}"
        what = "nothing in" if card.root.exists() else "no folder"
        raise DetectorError(f"{card.path}: {what} {card.root} (root); {hint}")
    return open_folder(card.root, card.format, card.images, card.first_pixel)


def nothing_in(root: Path) -> bool:
    """Whether a root is no file and no folder with anything in it."""
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


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
        return _with_rest(folder, sources)
    wanted = {key: paths for key, paths in sources.items() if key in ("train", "val", "test")}
    return read_splits(folder, wanted)


def _with_rest(folder: Folder, sources: Splits) -> dict[str, Dataset]:
    """'train' is what no split names, as where `test/` lies beside `images/`; else all there is."""
    whole = read_all(folder)
    parts = read_splits(folder, sources, whole)
    used = {example.path for part in parts.values() for example in part.examples}
    rest = tuple(example for example in whole.examples if example.path not in used)
    if not (used and rest):
        return {"train": whole}
    problems = tuple(problem for problem in whole.problems if problem.path not in used)
    return {"train": replace(whole, examples=rest, problems=problems), **parts}


def _refuse_useless(card: Card, splits: dict[str, Dataset]) -> None:
    """Raise DetectorError for a train or val that holds no pictures or no boxes.

    Train alone, before val is drawn from it, is called the data.
    """
    for name in ("train", "val"):
        if name not in splits:
            continue
        part = splits[name]
        where = f"{card.path}: {name if 'val' in splits else 'the data'} holds"
        odd = _summary(part.problems)
        if not part.examples:
            usable = "that can be used" if odd else "at all"
            raise DetectorError(f"{where} no pictures {usable}{odd}; check root and splits")
        if not part.class_counts().sum():
            use = "to judge by" if name == "val" else "to learn from"
            if others := sum(len(example.labels) for example in part.examples):
                use += f" ({counted(others, 'box')} without area, or marked to be ignored)"
            raise DetectorError(
                f"{where} {counted(len(part.examples), 'picture')} but no boxes {use}{odd}; label "
                "some, or check that the label files are where the format wants them"
            )


def _summary(problems: tuple[Problem, ...]) -> str:
    """' (3 problems, the first: ...)', or nothing."""
    if not problems:
        return ""
    return f" ({counted(len(problems), 'problem')}, the first: {problems[0]})"


def _flag_unlearnt(train: Dataset, val: Dataset) -> Dataset:
    """Val with a problem for each class it has and train lacks: its AP can only be 0."""
    learnt, judged = train.class_counts(), val.class_counts()
    problems = [
        Problem(
            "split", "val", f"class '{name}' has {counted(judged[k], 'box')} here and none in train"
        )
        for k, name in enumerate(train.class_names)
        if judged[k] and not learnt[k]
    ]
    return replace(val, problems=(*val.problems, *problems))
