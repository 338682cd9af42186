"""What a stopped evaluation leaves behind is taken up, and nothing else is."""

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import DetectorError
from detector.evaluation.partial import NAME, keep, key_of, read_part
from detector.evaluation.run import Seen

NAMES = ("cat", "dog")


def seen(number):
    boxes = np.full((number, 4), 0.1 + number, np.float32)
    scores = np.full(number, 1 / 3, np.float32)
    found = Detections(boxes, scores, np.zeros(number, np.int64), NAMES)
    return Seen((number, 9), found, failed="" if number else "0.jpg: is empty")


def stop_after(path, count, key="k"):
    """Look at ten pictures, and be stopped after `count`."""
    going = keep(read_part(path, key, NAMES), map(seen, range(10)))
    for _ in range(count):
        next(going)
    going.close()


def test_a_stopped_one_goes_on_and_ends_the_same(tmp_path):
    stop_after(tmp_path / NAME, 4)
    part = read_part(tmp_path / NAME, "k", NAMES)
    assert len(part.seen) == 4
    both = list(keep(part, map(seen, range(4, 10))))
    for number, one in enumerate(both):
        assert one.size_wh == (number, 9)
        assert one.found.xyxy.tolist() == seen(number).found.xyxy.tolist()
        assert one.found.scores.tolist() == seen(number).found.scores.tolist()
    assert both[0].failed == "0.jpg: is empty"
    assert len(read_part(tmp_path / NAME, "k", NAMES).seen) == 10


@pytest.mark.parametrize("cut", [1, 7])
def test_a_line_cut_off_is_seen_again(tmp_path, cut):
    path = tmp_path / NAME
    stop_after(path, 4)
    path.write_bytes(path.read_bytes()[:-cut])
    part = read_part(path, "k", NAMES)
    assert len(part.seen) == 3
    assert len(list(keep(part, map(seen, range(3, 10))))) == 10
    assert len(read_part(path, "k", NAMES).seen) == 10


def test_another_evaluation_starts_anew(tmp_path):
    stop_after(tmp_path / NAME, 4)
    assert read_part(tmp_path / NAME, "other", NAMES).seen == []
    stop_after(tmp_path / NAME, 2, key="other")
    assert read_part(tmp_path / NAME, "k", NAMES).seen == []
    assert len(read_part(tmp_path / NAME, "other", NAMES).seen) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b'{"key": "k"}', b"\xff\n"])
def test_what_is_no_such_file_is_nothing(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    assert read_part(tmp_path / NAME, "k", NAMES).seen == []


def test_the_key_is_the_models_content_and_what_else_matters(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    keys = [key_of(tmp_path / name, size) for name in "ab" for size in (300, 512)]
    assert len(set(keys)) == 4
    assert key_of(tmp_path / "a", 300) == keys[0]


def test_a_folder_that_cannot_be_written(tmp_path):
    part = read_part(tmp_path / "no" / NAME, "k", NAMES)
    with pytest.raises(DetectorError, match=r"--out .*cannot write here"):
        list(keep(part, map(seen, range(3))))
