"""From a card or a folder to train and val: splits, class edits, and data that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.data.check.report import check
from detector.data.load import load_data, load_splits, open_card
from detector.errors import DetectorError


@pytest.fixture
def yolo_set(picture, text):
    """yolo_set({"a/1": [0, 1], "a/2": []}) makes pictures and labels in a/."""

    def make(pictures: dict[str, list[int]]) -> None:
        for seed, (name, labels) in enumerate(pictures.items()):
            picture(f"{name}.jpg", seed=seed)
            rows = [f"{label} 0.5 0.5 0.{n + 2} 0.5" for n, label in enumerate(labels)]
            text(f"{name}.txt", "\n".join(rows))

    return make


def test_a_bare_folder_uses_its_own_splits(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"train/1": [0], "train/2": [1], "valid/3": [0], "test/4": [1]})
    text("classes.txt", "apple\npear\n")
    splits = load_splits(tmp_path)
    names = {key: [e.path.stem for e in part.examples] for key, part in splits.items()}
    assert names == {"train": ["1", "2"], "val": ["3"], "test": ["4"]}
    assert {part.class_names for part in splits.values()} == {("apple", "pear")}


def test_a_bare_folder_without_splits_keeps_a_fifth(tmp_path: Path, yolo_set) -> None:
    yolo_set({f"{i}": [i % 2] for i in range(20)})
    train, val = load_data(tmp_path, "train"), load_data(tmp_path, "val")
    assert (len(train.examples), len(val.examples)) == (16, 4)
    assert val.class_counts().tolist() == [2, 2]
    assert not {e.path for e in train.examples} & {e.path for e in val.examples}
    assert val.drawn
    assert not train.drawn


def test_a_folder_with_train_alone(tmp_path: Path, yolo_set) -> None:
    yolo_set({f"train/{i}": [0] for i in range(10)} | {"test/99": [0]})
    splits = load_splits(tmp_path)
    assert {key: len(part.examples) for key, part in splits.items()} == {
        "train": 8,
        "val": 2,
        "test": 1,
    }


@pytest.mark.parametrize(
    ("train", "test"),
    [("images", "test"), ("train_images", "test_images"), ("Training Set", "TEST"), (".", "test2")],
)
def test_pictures_to_test_with_are_not_learned_from(
    tmp_path: Path, yolo_set, train: str, test: str
) -> None:
    yolo_set({f"{train}/{i}": [0] for i in range(10)} | {f"{test}/t{i}": [0] for i in range(3)})
    splits = load_splits(tmp_path)
    names = {key: {e.path.stem for e in part.examples} for key, part in splits.items()}
    assert names["test"] == {"t0", "t1", "t2"}
    assert names["train"] | names["val"] == {str(i) for i in range(10)}


def test_folders_that_are_only_called_like_a_split(tmp_path: Path, yolo_set) -> None:
    yolo_set({f"test tubes/{i}": [0] for i in range(5)} | {f"jars/{i}": [0] for i in range(5, 10)})
    assert load_splits(tmp_path).keys() == {"train", "val"}
    (tmp_path / "jars").rename(tmp_path / "test tubes" / "jars")
    (tmp_path / "test tubes").rename(tmp_path / "test")  # nothing else: then it is the data
    assert load_splits(tmp_path).keys() == {"train", "val"}


@pytest.mark.parametrize("whole", [False, True])
def test_a_yaml_of_yolo_that_lies_elsewhere(
    tmp_path: Path, yolo_set, text, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    yolo_set({"sets/fruit/train/1": [0], "sets/fruit/train/2": [1], "sets/fruit/held/3": [1]})
    path = str(tmp_path / "sets" / "fruit") if whole else "../sets/fruit"
    rest = "train: train\nval: held\nnames: {0: apple, 1: pear}\n"
    card = text("cfg/mine.yaml", f"path: {path}\n{rest}")
    splits = load_splits(card)
    assert {key: len(part.examples) for key, part in splits.items()} == {"train": 2, "val": 1}
    assert splits["val"].class_names == ("apple", "pear")
    assert not any(part.problems for part in splits.values())
    monkeypatch.chdir(tmp_path)  # from where Ultralytics looks
    here = text("cfg/here.yaml", f"path: sets/fruit\n{rest}")
    assert [len(part.examples) for part in load_splits(here).values()] == [2, 1]
    text("cfg/here.yaml", f"path: sets/fruit\n{rest}test: gone\n")
    with pytest.raises(DetectorError, match=r"splits: test: no .*gone"):
        load_splits(here)


def test_no_name_is_not_this_folder() -> None:
    with pytest.raises(DetectorError, match="no data named"):
        open_card("")


def test_a_folder_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.mangoes").mkdir()
    monkeypatch.chdir(tmp_path / "my.mangoes")
    assert open_card(".").name == open_card(tmp_path / "my.mangoes").name == "my.mangoes"
    assert open_card("..").name == tmp_path.name


def test_val_of_the_card_wins_over_folders(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({f"train/{i}": [0] for i in range(6)} | {f"val/{i}": [0] for i in range(6, 10)})
    splits = load_splits(text("card.yaml", "root: .\nval: 0.5\n"))
    assert {key: len(part.examples) for key, part in splits.items()} == {"train": 5, "val": 5}


def test_named_splits_of_the_card(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"day/1": [0], "night/2": [0], "night/3": [0], "dusk/4": [0]})
    text("some.txt", "3\n")
    card = text("card.yaml", "root: .\nsplits: {train: [day, some.txt], val: dusk}\n")
    assert [e.path.stem for e in load_data(card, "train").examples] == ["1", "3"]
    assert [e.path.stem for e in load_data(card, "val").examples] == ["4"]
    with pytest.raises(DetectorError, match="no split 'test'; it has train, val"):
        load_data(card, "test")


def test_classes_renamed_merged_dropped_and_ordered(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"train/1": [0, 1, 2, 3], "val/2": [3, 1]})
    text("classes.txt", "apple\npear\nstone\ntree\n")
    card = text(
        "card.yaml",
        "root: .\nclasses: {names: [plant, fruit], rename: {tree: plant}, "
        "merge: {fruit: [apple, pear]}, drop: [stone]}\n",
    )
    train, val = load_data(card, "train"), load_data(card, "val")
    assert train.class_names == val.class_names == ("plant", "fruit")
    assert train.examples[0].labels.tolist() == [1, 1, 0]
    assert len(train.examples[0].xyxy) == len(train.examples[0].ignore) == 3
    assert val.examples[0].labels.tolist() == [0, 1]


def test_numbers_take_the_names_of_the_card(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"train/1": [2], "val/2": [0, 2]})
    splits = load_splits(text("card.yaml", "root: .\nclasses: [a, b, c]\n"))
    assert splits["train"].class_names == ("a", "b", "c")
    assert splits["train"].examples[0].labels.tolist() == [2]
    assert splits["val"].examples[0].labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("{drop: [aple]}", "drop: no class 'aple' .near: apple"),
        ("{rename: {zzz: x}}", "rename: no class 'zzz' .known: apple"),
        ("[apple]", "names leaves out a class of the data, 'pear'"),
        ("{drop: [apple, pear]}", "none is left of apple, pear"),
    ],
)
def test_class_edits_that_do_not_fit(
    tmp_path: Path, yolo_set, text, classes: str, message: str
) -> None:
    yolo_set({"train/1": [0], "val/2": [1]})
    text("classes.txt", "apple\npear\n")
    with pytest.raises(DetectorError, match=message):
        load_splits(text("card.yaml", f"root: .\nclasses: {classes}\n"))


def test_labels_agree_when_each_split_has_its_own_json(tmp_path: Path, picture, text) -> None:
    for split, names in (("train", ["pear", "apple"]), ("val", ["apple", "fig"])):
        picture(f"{split}/{split}.jpg")
        content = {
            "images": [{"id": 1, "file_name": f"{split}.jpg"}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
            "annotations": [
                {"image_id": 1, "category_id": i, "bbox": [1, 1, 5, 5]} for i in range(2)
            ],
        }
        text(f"{split}.json", json.dumps(content))
    splits = load_splits(tmp_path)
    assert splits["train"].class_names == splits["val"].class_names == ("pear", "apple", "fig")
    assert splits["val"].examples[0].labels.tolist() == [1, 2]
    # fig cannot be learnt: told, not refused, for a rare class in val is no reason to stop.
    assert [str(p) for p in splits["val"].problems] == [
        "val: class 'fig' has 1 box here and none in train"
    ]


def test_data_that_cannot_be_used(tmp_path: Path, yolo_set, picture, text) -> None:
    with pytest.raises(DetectorError, match="no such data card or folder"):
        load_splits(tmp_path / "gone.yaml")
    with pytest.raises(
        DetectorError, match=r"no labels found \(the folder is empty\); expected VOC XML"
    ):
        load_splits(tmp_path)
    yolo_set({"1": []})
    text("data.yaml", "names: [a]")
    with pytest.raises(DetectorError, match="the data holds 1 picture but no boxes to learn from"):
        load_splits(tmp_path)
    yolo_set({"1": [], "2": [], "3": []})
    with pytest.raises(DetectorError, match="the data holds 3 pictures but no boxes to learn"):
        load_splits(tmp_path)
    yolo_set({"1": [0]})
    for name in ("2", "3"):
        (tmp_path / f"{name}.jpg").unlink()
        (tmp_path / f"{name}.txt").unlink()
    with pytest.raises(DetectorError, match="1 picture cannot be split into train and val; label"):
        load_splits(tmp_path)


def test_a_card_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_card("voc").name.startswith("PASCAL VOC")  # came with us
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "voc.yaml").write_text("name: ours\nroot: .\n")
    assert open_card("voc").name == "ours"
    (tmp_path / "voc").mkdir()
    assert open_card("voc").path == Path("voc")  # a folder comes first


def test_boxes_that_do_not_count(tmp_path: Path, picture, text, voc_xml) -> None:
    for name in ("1", "2"):
        picture(f"{name}.jpg")
        flat, hard = ("cat", 5, 5, 5, 20), ("cat", 1, 2, 30, 40, "<difficult>1</difficult>")
        text(f"{name}.xml", voc_xml(flat, hard))
    with pytest.raises(DetectorError, match=r"no boxes to learn from \(4 boxes without area, or"):
        load_splits(tmp_path)


def test_labels_that_cannot_be_read_at_all(tmp_path: Path, picture, text, voc_xml) -> None:
    for name in ("1", "2"):
        picture(f"{name}.jpg")
        text(f"{name}.xml", voc_xml(("cat", 1, 2, 30, 40))[:-20])
    expected = r"no pictures that can be used \(4 problems, the first: 1\.xml: is not well-formed"
    with pytest.raises(DetectorError, match=expected):
        load_splits(tmp_path)


def test_no_class_in_common(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"train/1": [0], "train/2": [0], "val/3": [1]})
    with pytest.raises(DetectorError, match="no class has boxes in both train and val"):
        load_splits(tmp_path)


def test_what_a_split_is_about_stays_with_it(tmp_path: Path, picture, text, voc_xml) -> None:
    """Labels in a folder of their own: what is odd about them goes where their picture goes."""
    for split in ("train", "val"):
        for name in ("good", "bad", "cut"):
            picture(f"images/{split}/{name}{split}.jpg")
        good = voc_xml(("cat", 1, 2, 30, 40), ("cat", "x", 2, 30, 40))
        text(f"annotations/{split}/good{split}.xml", good)
        text(f"annotations/{split}/bad{split}.xml", voc_xml(("cat", "x", 2, 30, 40)))
        text(f"annotations/{split}/cut{split}.xml", good[:-20])
    for name, part in load_splits(tmp_path).items():
        assert [e.path.stem for e in part.examples] == [f"good{name}"]
        told = sorted((p.kind, p.path.stem) for p in part.problems if p.path.suffix == ".jpg")
        assert told == [
            ("bad-box", f"bad{name}"),
            ("bad-box", f"good{name}"),
            ("picture-left-out", f"bad{name}"),
            ("picture-left-out", f"cut{name}"),
        ]
    lists = "root: .\nsplits: {train: train.txt, val: val.txt}"
    for split in ("train", "val"):
        text(f"{split}.txt", f"good{split}\nbad{split} 1\ncut{split}.jpg\n")
    for part in load_splits(text("card.yaml", lists)).values():
        assert sum(p.kind == "picture-left-out" for p in part.problems) == 2


def test_one_picture_may_be_both_splits(tmp_path: Path, yolo_set, text) -> None:
    yolo_set({"1": [0]})
    splits = load_splits(text("card.yaml", "root: .\nsplits: {train: ., val: .}"))
    assert len(splits["train"].examples) == len(splits["val"].examples) == 1


def test_two_hundred_classes(tmp_path: Path, yolo_set) -> None:
    yolo_set({f"{i}": [4 * i + n for n in range(4)] for i in range(50)})
    splits = load_splits(tmp_path)
    assert len(splits["train"].class_names) == 200
    assert len(splits["train"].examples) + len(splits["val"].examples) == 50
    assert splits["val"].examples


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("root: gone\n", "no folder .*gone .root.; put the pictures"),
        (
            "root: gone\ndownload: {url: http://x/y.zip}",
            "no folder.*detector fetch .*http://x/y.zip",
        ),
        (
            "root: bare\ndownload: {url: http://x/y.zip}",
            "nothing in .*detector fetch .*http://x/y.zip",
        ),
        ("root: .\nsplits: {train: gone.txt}", "splits: train: no .*gone.txt"),
        ("root: .\nsplits: {val: a}", "no train"),
    ],
)
def test_cards_whose_data_is_missing(
    tmp_path: Path, yolo_set, text, card: str, message: str
) -> None:
    yolo_set({"a/1": [0], "a/2": [0]})
    (tmp_path / "bare").mkdir()  # as a fetch without a network leaves it
    for read in (load_splits, check) if "root: ." not in card else (load_splits,):
        with pytest.raises(DetectorError, match=message):
            read(text("card.yaml", card))
