"""CSV tables of boxes and the many spellings of their columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detector.data.formats import read
from detector.errors import DetectorError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_the_raccoon_columns(tmp_path: Path, picture, text) -> None:
    picture("images/1.jpg")
    picture("images/2.jpg")
    rows = "1.jpg,64,48,cat,1,2,3,4\n2.jpg,64,48,dog,5,6,7,8\n1.jpg,64,48,dog,9,9,10,10\n"
    text("labels.csv", HEADER + rows)
    dataset = read(tmp_path)
    first, second = dataset.examples
    assert first.xyxy.tolist() == [[1, 2, 3, 4], [9, 9, 10, 10]]
    assert first.labels.tolist() == [0, 1]
    assert first.size_wh == (64, 48)
    assert second.source == "labels.csv, line 3"
    assert dataset.problems == ()


@pytest.mark.parametrize(
    "content",
    [
        "image;label;x1;y1;x2;y2\r\na.jpg;cat;1;2;3,5;4\r\n",
        "\ufeffImage Path\tClass Name\tX_Min\tY_Min\tX_Max\tY_Max\nC:\\p\\a.jpg\tcat\t1\t2\t3.5\t4",
        '"path","name","left","top","right","bottom","more"\n"x/a.JPG","cat",1,2,"3.5",4,\n',
    ],
)
def test_other_headers(tmp_path: Path, picture, text, content: str) -> None:
    picture("a.jpg")
    text("boxes.csv", content)
    dataset = read(tmp_path)
    assert dataset.examples[0].xyxy.tolist() == [[1, 2, 3.5, 4]]
    assert dataset.class_names == ("cat",)


def test_fractions_of_the_picture(tmp_path: Path, picture, text) -> None:
    picture("a.jpg", 200, 100)
    row = 'a,cat,"0,25","0,5","0,1","1"\n'
    text("boxes.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\n" + row)
    np.testing.assert_allclose(read(tmp_path).examples[0].xyxy, [[50, 10, 100, 100]], atol=1e-4)


def test_odd_rows_are_counted(tmp_path: Path, picture, text) -> None:
    for name in ("a", "negative", "unlisted"):
        picture(f"{name}.jpg")
    rows = "a.jpg,,,cat,1,2,3,4\na.jpg,,,cat,1,2,x,4\na.jpg,,,,1,2,3,4\na.jpg,,,cat\n"
    text("x.csv", HEADER + rows + "negative.jpg,,,,,,,\ngone.jpg,,,cat,1,2,3,4\n")
    dataset = read(tmp_path)
    assert {e.path.stem: len(e.labels) for e in dataset.examples} == {"a": 1, "negative": 0}
    assert Counter(p.kind for p in dataset.problems) == {
        "bad-box": 3,
        "label-without-picture": 1,
        "unlisted-picture": 1,
    }
    assert dataset.problems[0].where == "x.csv, line 3"


def test_a_picture_whose_rows_cannot_be_read_is_no_negative(tmp_path: Path, picture, text) -> None:
    for name in ("good", "bad", "negative"):
        picture(f"{name}.jpg")
    rows = "good.jpg,,,cat,1,2,3,4\nbad.jpg,,,cat,1,2,x,4\nbad.jpg,,,cat,1,2,y,4\n"
    text("x.csv", HEADER + rows + "negative.jpg,,,,,,,\n")
    dataset = read(tmp_path)
    assert [e.path.stem for e in dataset.examples] == ["good", "negative"]
    assert Counter(p.kind for p in dataset.problems) == {"bad-box": 2, "picture-left-out": 1}


def test_a_name_that_fits_two_pictures(tmp_path: Path, picture, text) -> None:
    picture("x/1.jpg", seed=1)
    other = picture("y/1.jpg", seed=2)
    text("x.csv", HEADER + "1.jpg,,,cat,1,2,3,4\n1.jpg,,,cat,2,2,3,4\ny\\1.jpg,,,cat,5,6,7,8\n")
    dataset = read(tmp_path)
    assert [(e.path, e.xyxy.tolist()) for e in dataset.examples] == [(other, [[5, 6, 7, 8]])]
    assert Counter(p.kind for p in dataset.problems) == {"label-without-picture": 2}
    assert "'1.jpg' fits 2 different pictures, write the folder" in dataset.problems[0].message
    other.write_bytes((tmp_path / "x/1.jpg").read_bytes())
    dataset = read(tmp_path)
    assert [len(e.labels) for e in dataset.examples] == [2, 1]
    assert Counter(p.kind for p in dataset.problems) == {"duplicate-picture": 1}


def test_tables_of_splits_whose_pictures_are_called_alike(tmp_path: Path, picture, text) -> None:
    """As sets of playing cards come: the names of both splits count from 0."""
    for split, name in (("train", "cat"), ("test", "dog")):
        picture(f"images/{split}/1.jpg")
        text(f"images/{split}_labels.csv", HEADER + f"1.jpg,,,{name},1,2,3,4\n")
    for split, name in (("train", "cat"), ("test", "dog")):
        dataset = read(tmp_path, split=split)
        assert [e.path for e in dataset.examples] == [tmp_path / f"images/{split}/1.jpg"]
        assert dataset.class_names == (name,)
        assert dataset.problems == ()


def test_parts_beside_the_whole(tmp_path: Path, picture, text) -> None:
    for name in ("1", "2"):
        picture(f"{name}.jpg")
    one, two = "1.jpg,,,cat,1,2,3,4\n", "2.jpg,,,cat,1,2,3,4\n"
    text("all_labels.csv", HEADER + one + two)
    text("train_labels.csv", HEADER + one)
    text("test_labels.csv", HEADER + two)
    assert len(read(tmp_path).examples) == 2
    assert [e.path.stem for e in read(tmp_path, split="test").examples] == ["2"]


def test_a_table_without_boxes(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("x.csv", "filename,price\na.jpg,3\n")
    with pytest.raises(DetectorError, match="no labels found"):
        read(tmp_path)


OPEN_IMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"


def test_open_images_as_downloaded(tmp_path: Path, picture, text) -> None:
    """Ids for names, which a table beside has; groups that no box can be expected to meet."""
    picture("images/0001eeaf4aed83f9.jpg", 100, 50)
    row = "0001eeaf4aed83f9,xclick,{},1,0.1,0.5,0.2,0.6,0,{}\n"
    rows = row.format("/m/0fldg", 0) + row.format("/m/0cyhj_", 1) + row.format("/m/0nobody", 0)
    text("train-annotations-bbox.csv", OPEN_IMAGES + rows)
    assert read(tmp_path).class_names == ("/m/0cyhj_", "/m/0fldg", "/m/0nobody")
    text(
        "class-descriptions-boxable.csv", '/m/0fldg,Mango\n/m/0cyhj_,"Orange"\n/m/09j2d,Clothing\n'
    )
    dataset = read(tmp_path)
    assert dataset.class_names == ("Orange", "Mango", "/m/0nobody")
    (example,) = dataset.examples
    assert example.labels.tolist() == [1, 0, 2]
    assert example.ignore.tolist() == [False, True, False]
    assert len(read(tmp_path, split="train").examples) == 1


CORNERS = "xmin,ymin,xmax,ymax\n"


def fractions(last: str, count: int = 6) -> str:
    """Rows of boxes in fractions, one a picture, the last of them as said."""
    rows = [f"{number}.jpg,cat,0.1,0.1,0.5,0.9" for number in range(count - 1)]
    return f"filename,class,{CORNERS}" + "\n".join([*rows, f"{count - 1}.jpg,cat,{last}"])


@pytest.mark.parametrize("edge", ["1.0000001", "1.002", "1.2"])
def test_fractions_may_go_a_little_past_the_edge(tmp_path: Path, picture, text, edge: str) -> None:
    for number in range(6):
        picture(f"{number}.jpg", 200, 100)
    text("x.csv", fractions(f"0.1,0.1,0.5,{edge}"))
    dataset = read(tmp_path)
    np.testing.assert_allclose(dataset.examples[0].xyxy, [[20, 10, 100, 90]], atol=1e-4)
    expected = [[20, 10, 100, 100 * float(edge)]]
    np.testing.assert_allclose(dataset.examples[5].xyxy, expected, atol=1e-4)
    assert dataset.problems == ()


def test_fractions_and_pixels_in_one_table(tmp_path: Path, picture, text) -> None:
    for number in range(6):
        picture(f"{number}.jpg", 200, 100)
    text("x.csv", fractions("20,10,100,90"))
    expected = r"x\.csv: 5 boxes are in fractions \(the first in line 2\), 1 in pixels \(line 7\)"
    with pytest.raises(DetectorError, match=expected):
        read(tmp_path)
    # Boxes at the first pixel that stand for none do not make pixels fractions.
    text("x.csv", HEADER + "".join(f"{number}.jpg,,,cat,0,0,1,1\n" for number in range(5)))
    with (tmp_path / "x.csv").open("a") as file:
        file.write("5.jpg,,,cat,20,10,100,90\n")
    assert read(tmp_path).examples[5].xyxy.tolist() == [[20, 10, 100, 90]]


def test_a_slip_among_many_fractions_is_left_out(tmp_path: Path, picture, text) -> None:
    picture("0.jpg", 200, 100)
    picture("99.jpg", 200, 100)
    rows = fractions("20,10,100,90", 100)
    for number in range(1, 99):
        rows = rows.replace(f"\n{number}.jpg", "\n0.jpg")
    text("x.csv", rows)
    dataset = read(tmp_path)
    assert {e.path.stem: len(e.labels) for e in dataset.examples} == {"0": 99}
    assert [(p.kind, p.where) for p in dataset.problems] == [
        ("bad-box", "x.csv, line 101"),
        ("picture-left-out", "x.csv, line 101"),
    ]


@pytest.mark.parametrize("names", ["image_id,filename", "id,path,image_id", "image,filename"])
def test_a_file_name_comes_before_a_number(tmp_path: Path, picture, text, names: str) -> None:
    for number in range(3):
        picture(f"{number}.jpg")
    columns = names.split(",")
    named = next(column for column in ("filename", "path") if column in columns)
    cells = ",".join("2.jpg" if column == named else "0" for column in columns)
    text("x.csv", f"{names},class,{CORNERS}{cells},cat,1,2,3,4\n")
    assert [e.path.name for e in read(tmp_path).examples] == ["2.jpg"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'sep=;\r\nfilename;class;xmin;ymin;xmax;ymax\r\n"a.jpg";"cat";1;2;3,5;4\r\n'),
        ("x.csv", "sep=\t\nfilename\tclass\txmin\tymin\txmax\tymax\na.jpg\tcat\t1\t2\t3.5\t4"),
        ("x.csv", "filename|class|xmin|ymin|xmax|ymax\na.jpg|cat|1|2|3.5|4\n"),
        ("x.tsv", "filename\tclass\txmin\tymin\txmax\tymax\na.jpg\tcat\t1\t2\t3.5\t4\n"),
        ("x.csv", 'filename, class, xmin, ymin, xmax, ymax\n"a.jpg", "cat", 1, 2, 3.5, 4\n'),
    ],
)
def test_other_separators(tmp_path: Path, picture, text, name: str, content: str) -> None:
    picture("a.jpg")
    table = text(name, content)
    for root in (tmp_path, table):
        dataset = read(root)
        assert dataset.examples[0].xyxy.tolist() == [[1, 2, 3.5, 4]]
        assert dataset.class_names == ("cat",)
        assert dataset.problems == ()


def test_of_two_columns_for_the_class_the_left_one_counts(tmp_path: Path, picture, text) -> None:
    picture("a.jpg")
    text("l.csv", "filename,name,class,xmin,ymin,xmax,ymax\na.jpg,cat,0,1,1,20,20\n")
    assert read(tmp_path).class_names == ("cat",)
