"""What a person is told of the data before a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detector.data.account import account, counted, listed, shown_at_most
from detector.data.example import Dataset, Example, Problem


def example(name: str, *labels: int) -> Example:
    boxes = np.array([[1, 2, 3, 4]] * len(labels), np.float32).reshape(-1, 4)
    zeros = np.zeros(len(labels), np.bool_)
    return Example(Path(name), boxes, np.array(labels, np.int64), zeros, None, "")


def test_numbers_and_their_nouns() -> None:
    said = [counted(*pair) for pair in ((0, "box"), (1, "box"), (2, "class"), (1200, "picture"))]
    assert said == ["0 boxes", "1 box", "2 classes", "1,200 pictures"]
    assert listed("abc") == "a, b, c"
    assert listed([str(i) for i in range(11)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."


def test_clean_data_is_one_line() -> None:
    train = Dataset((example("a", 0, 0), example("b", 1)), ("cat", "dog"))
    val = Dataset((example("c", 0, 1),), ("cat", "dog"))
    line = "2 training pictures with 3 boxes, 1 to judge by; 2 classes: cat, dog"
    assert account(train, val) == [line]


def test_what_is_left_out_is_counted() -> None:
    twice = Problem("split", "val", "odd")
    problems = (
        Problem("picture-left-out", "a.jpg", "no row can be read; left out", Path("a.jpg")),
        Problem("unlisted-picture", "b.jpg", "not used", Path("b.jpg")),
        Problem("unreadable-picture", "kept.jpg", "kept in train", Path("kept.jpg")),
        Problem("bad-box", "x.csv, line 3", "left out", Path("kept.jpg")),
        Problem("label-without-picture", "x.csv, line 4", "left out", Path("x.csv")),
        Problem("label-without-picture", "x.csv, line 5", "left out", Path("x.csv")),
        twice,
    )
    train = Dataset((example("kept.jpg", 0),), ("cat",), problems)
    first = account(train, Dataset((example("c", 0),), ("cat",), (twice,)))[0]
    assert first == (
        "7 problems in the data; left out: 2 pictures, 1 box, 2 labels without a picture; the "
        "first: a.jpg: no row can be read; left out (`detector check` lists all)"
    )


def test_problems_that_cost_nothing() -> None:
    train = Dataset((example("a", 0),), ("cat",), (Problem("split", "val", "is odd"),))
    assert account(train, train)[0].startswith("1 problem in the data; nothing left out; the")


def test_a_model_of_crowds_shows_twice_as_many() -> None:
    shown = [shown_at_most(Dataset((example("a", *[0] * n),), ("cell",))) for n in (50, 320, 900)]
    assert shown == [100, 640, 1000]
    assert shown_at_most(Dataset((), ("cell",))) == 100


def test_crowds_and_names_alike() -> None:
    train = Dataset((example("a", *[0] * 101), example("b", 1)), ("Mango", "mangoes", "mango s"))
    lines = account(train, Dataset((example("c", *[0] * 100),), train.class_names))
    assert lines[1].startswith("1 picture with more than 100 objects, up to 101: AP counts")
    assert lines[1].endswith("and so stays low")
    assert lines[2].startswith(
        "1 class named like another one, and learned as different: 'mango s'"
    )


def test_how_val_came_about_and_what_it_lacks() -> None:
    train = Dataset((example("a", 0, 1),), ("0", "1"))
    lines = account(train, Dataset((example("c", 0),), ("0", "1"), drawn=True))
    assert "1 to judge by, drawn at random since the data names no val; " in lines[0]
    assert lines[0].endswith("2 classes: 0, 1; name them in a data card: classes: [...]")
    assert lines[1:] == ["no boxes in val, so learned but not judged: 1"]
