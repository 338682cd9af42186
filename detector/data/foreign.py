"""Label files of formats that are not read here: which they are, and how to get one that is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detector.data.csv_boxes import SUFFIXES
from detector.data.labelme import is_labelme
from detector.data.tree import PictureIndex, Tree, decode_text
from detector.data.voc import is_voc
from detector.images import IMAGE_SUFFIXES

HEAD = 65_536  # bytes looked at
TRIED = 3  # files of each suffix
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")

_YOLO_ROW = re.compile(r"\d+( -?\d*\.?\d+){4,}")

# Suffix, words that all stand in the head of such a file, its name, and the way to one that is
# read. The first that fits counts.
_KNOWN: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        ".xml",
        ("<annotations", "<track "),
        "CVAT's XML for video",
        "export it as 'CVAT for images 1.1', with images",
    ),
    (
        ".json",
        ('"shape_attributes"', '"region_attributes"'),
        "VIA's json",
        "export it from VIA in COCO format",
    ),
    (
        ".json",
        ('"rectanglelabels"',),
        "Label Studio's own json",
        "export it from Label Studio as COCO or YOLO, with images",
    ),
    (".json", ('"classTitle"',), "Supervisely's json", "export it as COCO or YOLO"),
    (
        ".json",
        ('"annotations"', '"coordinates"', '"label"'),
        "CreateML's json",
        "export it as COCO, YOLO or Pascal VOC",
    ),
    (".json", ('"asset"', '"regions"'), "VoTT's json", "export it from VoTT as CSV or Pascal VOC"),
    (
        ".json",
        ('"images"', '"annotations"', '"bbox"'),
        "a COCO json without the list 'categories'",
        'add it, with the id and name of each class: [{"id": 1, "name": "mango"}]',
    ),
    (".jsonl", ('"file_name"', '"bbox"'), "Hugging Face's metadata.jsonl", "write a COCO json"),
    (
        ".csv",
        ("region_shape_attributes",),
        "VIA's CSV",
        "export it from VIA in COCO format",
    ),
)


def unread(tree: Tree, pictures: PictureIndex) -> str:
    """What a folder without labels that can be read holds instead, and what to do; "" if unknown.

    One sentence, such as "a.json is LabelMe's json: ...". Labels come before archives, and
    archives before a folder that has no labels at all. Of a tree with a `main` file, that alone
    counts.
    """
    main = tree.main
    if main is not None:
        if main.suffix.lower() in (".txt", *IMAGE_SUFFIXES) or is_voc(main) or is_labelme(main):
            return "this is one file of many: name their folder"
        tree = Tree(tree.root, (main,))
    for suffix in dict.fromkeys(entry[0] for entry in _KNOWN):
        for path in tree.having(suffix)[:TRIED]:
            head = _head(path)
            for kind, words, name, way in _KNOWN:
                if kind == suffix and all(word in head for word in words):
                    return f"{tree.show(path)} is {name}: {way}"
    return _table(tree) or _rows(tree, pictures) or _packed(tree) or _nothing(tree, pictures)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return decode_text(file.read(HEAD))
    except OSError:
        return ""


def _table(tree: Tree) -> str:
    """A CSV without the columns it needs."""
    for path in tree.having(*SUFFIXES)[:TRIED]:
        first = next((line for line in _head(path).splitlines() if line.strip()), "")
        if any(separator in first for separator in ",;\t|"):
            return (
                f"{tree.show(path)} begins with '{first.strip()[:80]}': a table's first line must "
                "name the columns filename,class,xmin,ymin,xmax,ymax, in any order"
            )
    return ""


def _rows(tree: Tree, pictures: PictureIndex) -> str:
    """Text files about pictures whose rows are not YOLO's, as KITTI's; or YOLO's without pictures.

    A row may also begin with a picture's name, as of some YOLO trainers in Keras.
    """
    for path in tree.having(".txt"):
        first = next((line for line in _head(path).splitlines() if line.strip()), "").strip()
        words = first.split()
        if _YOLO_ROW.fullmatch(first) and pictures.by_name(path.stem):
            right = path.with_name(f"{Path(path.stem).stem}.txt").name
            return f"{tree.show(path)} is a YOLO label with a suffix too many: call it {right}"
        if path.name == "_annotations.txt" and path.with_name("_classes.txt") in tree.files:
            return (
                f"{tree.show(path)}, with names in _classes.txt, is Roboflow's 'YOLOv4 PyTorch': "
                "export it from Roboflow as COCO or YOLOv8"
            )
        if len(words) > 1 and (pictures.by_stem(path.stem) or pictures.by_name(words[0])):
            return (
                f"{tree.show(path)} begins with '{first[:60]}': YOLO has a file a picture, with "
                "rows of 'class cx cy w h' in numbers, the last four in fractions of it"
            )
        if not pictures.pictures and _YOLO_ROW.fullmatch(first):
            return (
                f"{tree.show(path)} is a YOLO label, but there are no pictures: put them into a "
                "folder images beside, or export once more, with images"
            )
    return ""


def _packed(tree: Tree) -> str:
    for kinds, advice in ((_PACKED, "unpack it"), ((".tfrecord", ".record"), "export as COCO")):
        if found := tree.having(*kinds):
            return f"{tree.show(found[0])} is not looked into: {advice}"
    return ""


def _nothing(tree: Tree, pictures: PictureIndex) -> str:
    if not pictures.pictures:
        return ""
    folders = {path.parent for path in pictures.pictures}
    sorted_by_class = len(folders) > 1 and not tree.having(".txt", ".json", ".xml", *SUFFIXES)
    hint = ", and pictures sorted into folders by class have none" if sorted_by_class else ""
    return f"these are pictures alone: a detector learns from boxes drawn in them{hint}"


def counted_suffixes(files: Sequence[Path]) -> str:
    """'60 .jpg, 60 .json': the five most frequent."""
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in files)
    return ", ".join(f"{n} {s}" for s, n in suffixes.most_common(5)) or "the folder is empty"
