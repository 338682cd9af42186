"""`detector check` as a user meets it: exit codes, the files it writes, the repaired copy."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from verbs import exit_of

from detector.data.check.repair import repair
from detector.data.check.report import check
from detector.data.example import Dataset
from detector.data.load import load_splits
from detector.images import read_image

DATA = Path(__file__).parents[2] / "shared" / "data"


def save_noise(path: Path, seed: int, exif: int = 1, **options: object) -> None:
    """A picture of 200 x 150, in whatever format the suffix or `format` says."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC)
    tags = Image.Exif()
    tags[0x0112] = exif
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, exif=tags, **options)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A clean YOLO set: train 14 pictures, val 4; a box in each, cats and dogs."""
    root = tmp_path / "toy"
    for split, count in (("train", 28), ("val", 4)):
        for i in range(count):
            save_noise(root / split / "images" / f"{i}.jpg", seed=i + 100 * (split == "val"))
            label = root / split / "labels" / f"{i}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f"{i % 2} 0.5 0.5 0.4 0.5\n")
    (root / "data.yaml").write_text("train: train/images\nval: val/images\nnames: [cat, dog]\n")
    return root


def spoil(root: Path) -> None:
    """What a repair can mend: one of each."""
    images, labels = root / "train" / "images", root / "train" / "labels"
    (labels / "0.txt").write_text("0 0.5 0.5 0.4 0.5\n" * 2)  # twice
    (labels / "1.txt").write_text("1 0.5 0.5 0 0.5\n1 0.5 0.5 -0.4 0.5\n")  # no area; inverted
    (labels / "2.txt").write_text("0 0.9 0.5 0.4 0.5\n0 1.5 0.5 0.4 0.5\n")  # beyond; outside
    save_noise(images / "3.jpg", seed=3, format="PNG")
    save_noise(images / "4.jpg", seed=4, exif=6)
    (images / "5.jpg").write_bytes((images / "5.jpg").read_bytes()[:900])
    (images / "6.jpg").write_bytes((root / "val" / "images" / "1.jpg").read_bytes())


def bytes_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def boxes_of(dataset: Dataset) -> dict[str, list[list[float]]]:
    return {e.path.stem: np.round(e.xyxy, 2).tolist() for e in dataset.examples}


def test_clean_data_exit_zero(yolo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = exit_of(["check", yolo], capsys)
    assert (code, err) == (0, "")
    assert "nothing odd found" in out
    assert "train       28 pictures       28 boxes" in out


def test_errors_exit_one_and_json_has_them(yolo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(yolo)
    code, out, _ = exit_of(["check", yolo, "--json"], capsys)
    content = json.loads(out)
    assert code == 1
    assert content["errors"] > 0
    assert "truncated" in {finding["kind"] for finding in content["findings"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone"], "no such data card or folder"),
        (["toy", "--html", "no/where.html"], "--html no/where.html: there is no folder no"),
        (["toy", "--augmented", "sheet.txt"], "expected a name in .png or .jpg"),
        (["toy", "--augmented", "s.png", "--mosaic", "2"], "--mosaic 2.0: expected 0 to 1"),
        (["toy", "--mosaic", "0.5"], "--mosaic 0.5: is for --augmented"),
        (["toy", "--tiles", "3"], "--tiles 3: is for --fix FOLDER; give both"),
        (
            ["toy", "--fix", "fixed", "--tiles", "17"],
            "--tiles is 17; expected a whole number",
        ),
        (["toy", "--fix", "toy/fixed"], "--fix toy/fixed: lies inside"),
        (["toy", "--fix", "toy"], "--fix toy: exists already"),
        (["toy", "--fix", "no/where"], "there is no folder no"),
    ],
)
def test_bad_usage_is_one_line_and_exit_two(
    yolo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(yolo.parent)
    before = bytes_of(yolo.parent)
    code, _, err = exit_of(["check", *words], capsys)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert bytes_of(yolo.parent) == before


def test_html_and_augmented_are_written(
    yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, sheet = tmp_path / "report.html", tmp_path / "sheet.png"
    code, out, _ = exit_of(["check", yolo, "--html", page, "--augmented", sheet], capsys)
    assert code == 0
    assert f"written: {page}" in out
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 12  # a few pictures by chance
    assert "$" not in text.split("<body>")[1]  # every place of the template is filled
    image = read_image(sheet)
    assert image.shape == (6 * 308, 6 * 308, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "sheet.png", "toy"]


def test_fix_writes_a_copy_without_errors(
    yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(yolo)
    before = bytes_of(yolo)
    out_folder = tmp_path / "fixed"
    code, out, _ = exit_of(["check", yolo, "--fix", out_folder], capsys)
    assert code == 1  # of the original
    assert bytes_of(yolo) == before
    for line in (
        "1 boxes left out, drawn twice",
        "2 boxes left out, without area in their picture",
        "1 boxes turned right side out",
        "1 pictures given the right suffix",
        "1 pictures left out that cannot be read",
        "1 copies of a picture left out",
        "1 pictures saved upright",
    ):
        assert f"      {line}\n" in out
    found = Counter(f.kind for f in check(out_folder).findings)
    assert not {"truncated", "misnamed", "exif-turned", "leaked-copy", "inverted-box"} & set(found)
    assert check(out_folder).errors == 0
    assert exit_of(["check", out_folder], capsys)[0] == 0


def test_fix_cuts_pictures_into_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three along the longer side, two across; each part shows what lies there, and no more."""
    image = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    for name in ("a", "b"):
        (tmp_path / "toy" / name).mkdir(parents=True)
        assert cv2.imwrite(
            str(tmp_path / "toy" / name / "1.png"), image[:: 1 if name == "a" else -1]
        )
    rows = "a/1.png,cat,20,30,40,60\na/1.png,dog,500,300,620,380\nb/1.png,dog,280,20,300,40\n"
    (tmp_path / "toy/boxes.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n" + rows)
    (tmp_path / "card.yaml").write_text("root: toy\nsplits: {train: a, val: b}\n")
    words = ["check", tmp_path / "card.yaml", "--fix", tmp_path / "cut", "--tiles", "3"]
    out = exit_of(words, capsys)[1]
    splits = load_splits(tmp_path / "cut")
    parts = {e.path.stem: e for e in splits["train"].examples}
    shown = {stem: e.xyxy.tolist() for stem, e in parts.items() if len(e.labels)}
    assert shown == {"1_0_0": [[20, 30, 40, 60]], "1_369_177": [[131, 123, 231, 203]]}
    names = splits["train"].class_names
    assert [names[parts[stem].labels[0]] for stem in shown] == ["cat", "dog"]
    assert len(parts) == 4  # as many without objects as with
    assert "2 parts without objects left out of train" in out
    assert len(splits["val"].examples) == 6
    read = cv2.imread(str(parts["1_369_177"].path))
    assert (read == image[177:400, 369:600]).all()


def test_fix_keeps_what_was_good(
    yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(yolo)
    exit_of(["check", yolo, "--fix", tmp_path / "fixed"], capsys)
    old, new = load_splits(yolo), load_splits(tmp_path / "fixed")
    assert new["train"].class_names == ("cat", "dog")
    assert boxes_of(new["val"]) == boxes_of(old["val"])
    then, now = boxes_of(old["train"]), boxes_of(new["train"])
    assert set(then) - set(now) == {"5", "6"}
    assert {stem for stem in now if now[stem] != then[stem]} == {"0", "1", "2"}
    assert now["0"] == [[60, 37.5, 140, 112.5]]
    assert now["1"] == [[60, 37.5, 140, 112.5]]
    assert now["2"] == [[140, 37.5, 200, 112.5]]
    turned = next(e for e in new["train"].examples if e.path.stem == "4")
    assert cv2.imread(str(turned.path), cv2.IMREAD_UNCHANGED).shape == (200, 150, 3)
    assert next(e for e in new["train"].examples if e.path.stem == "3").path.suffix == ".png"
    same = yolo / "train" / "images" / "7.jpg"
    assert (tmp_path / "fixed/images/train/7.jpg").read_bytes() == same.read_bytes()


def test_fix_leaves_to_eyes_what_only_eyes_can_settle(tmp_path: Path) -> None:
    save_noise(tmp_path / "toy/a.jpg", 1)
    save_noise(tmp_path / "toy/b.jpg", 2)
    (tmp_path / "toy/boxes.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,400,300,cat,20,20,90,90\nb.jpg,0,0,cat,20,20,90,90\n"
    )
    done = repair(check(tmp_path / "toy"), tmp_path / "fixed")
    assert +done == {"pictures labelled at another size, left for you to look at": 1}
    found = Counter(f.kind for f in check(tmp_path / "fixed").findings)
    assert found["size-differs"] == 1
    assert not found["size-zero"]


def test_a_failed_fix_leaves_nothing(
    yolo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    code, _, err = exit_of(["check", yolo, "--fix", tmp_path / "fixed"], capsys)
    assert code == 2
    assert "cannot write here (no space left on device)" in err
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raccoon", {"covers-picture": 1, "copy": 4, "near-duplicate": 3, "starts-at-one": 1}),
        ("fruit", {"size-zero": 33, "starts-at-one": 1}),
        ("mango", {"near-duplicate": 30, "class-names": 1}),
        ("mango-orchard", {"class-names": 1, "hard-to-match": 1}),
    ],
)
def test_shared_data(name: str, expected: dict[str, int]) -> None:
    if not DATA.is_dir():
        pytest.skip("../shared/data is absent")
    found = Counter(finding.kind for finding in check(DATA / name).findings)
    found.pop("few-boxes", None)  # mango-orchard has three pictures
    assert found == expected
