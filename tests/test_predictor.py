"""The Detector on real pictures: what it takes, what it refuses, what it gives back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector import Detections, Detector, DetectorError

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / ".." / "shared" / "data" / "photos"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared/data/photos is absent")


@pytest.fixture(scope="module")
def find():
    return Detector(precision="float")


def same(a, b, pixels=1e-3):
    assert len(a) > 0, "comparing nothing with nothing shows nothing"
    assert a.names == b.names
    np.testing.assert_allclose(a.xyxy, b.xyxy, atol=pixels)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)


def test_finds_what_is_in_the_picture(find, frame):
    found = find(frame)
    assert "person" in found.names
    height, width = frame.shape[:2]
    assert found.xyxy.dtype == found.scores.dtype == np.float32
    assert found.labels.dtype == np.int64
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2:] <= [width, height]).all()
    assert (found.xyxy[:, :2] < found.xyxy[:, 2:]).all()
    assert (found.scores >= find.score).all()
    assert (np.diff(found.scores) <= 0).all()


def test_every_kind_of_picture(find, frame, tmp_path):
    path = tmp_path / "ảnh.png"
    cv2.imencode(".png", frame)[1].tofile(path)
    expected = find(frame)
    same(find(path), expected)
    same(find(str(path)), expected)
    same(find(np.dstack([frame, np.zeros(frame.shape[:2], np.uint8)])), expected)
    same(find(frame.astype(np.uint16) * 257), expected)
    same(find(np.asfortranarray(frame)), expected)
    same(find(frame[::-1][::-1]), expected)
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    same(find(gray), find(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)))


def test_a_pil_image(find, frame):
    image = pytest.importorskip("PIL.Image").fromarray(frame[:, :, ::-1].copy())
    same(find(image), find(frame))


def test_several_pictures(find, frame, tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), frame)
    expected = find(frame)
    for source in ([frame, path], (frame, str(path))):
        found = find(source)
        assert isinstance(found, list)
        assert len(found) == 2
        for one in found:
            same(one, expected)
    assert find([]) == []


def test_a_generator_is_lazy(find, frame):
    taken = []

    def pictures():
        for number in range(3):
            taken.append(number)
            yield frame

    found = find(pictures())
    assert taken == []
    same(next(found), find(frame))
    assert taken == [0]
    assert len(list(found)) == 2


@pytest.mark.parametrize("source", [None, 3, 2.5, b"a.jpg", {}, {"a.jpg"}, object(), range(3)])
def test_no_picture_at_all(find, source):
    with pytest.raises(DetectorError, match=f"got {type(source).__name__}; expected a picture"):
        find(source)


def test_errors_say_which_picture(find, frame, tmp_path):
    with pytest.raises(DetectorError, match=r"^picture 1: .*b.jpg: no such file"):
        find([frame, tmp_path / "b.jpg"])
    with pytest.raises(DetectorError, match=r"^picture 2: got NoneType"):
        list(find(iter([frame, frame, None])))


@pytest.mark.parametrize("shape", [(1, 1), (50, 20_000), (20_000, 50), (2, 3)])
def test_odd_shapes(find, shape):
    found = find(np.full((*shape, 3), 90, np.uint8))
    assert isinstance(found, Detections)
    assert found.xyxy.shape == (len(found), 4)


def test_nothing_found_is_an_empty_result(find):
    found = find(np.zeros((200, 300, 3), np.uint8))
    assert found.xyxy.shape == (0, 4)
    assert found.names == []


def test_results_are_the_users_own(find, frame):
    first = find(frame)
    before = [first.xyxy.copy(), first.scores.copy(), first.labels.copy()]
    for array in (first.xyxy, first.scores, first.labels):
        assert array.flags.writeable
    find(255 - frame)
    find(np.zeros_like(frame))
    for array, kept in zip((first.xyxy, first.scores, first.labels), before, strict=True):
        assert np.array_equal(array, kept)


def test_the_picture_is_left_alone(find, frame):
    copy = frame.copy()
    find(copy)
    assert np.array_equal(copy, frame)


def test_class_filter(frame):
    everything = Detector(score=0.05)(frame)
    wanted = sorted(set(everything.names))[:2]
    assert wanted != ["person"], "label 0 of 80 would show nothing"
    found = Detector(score=0.05, classes=[*wanted, "giraffe", wanted[0]])(frame)
    same(found, everything[np.isin(everything.names, wanted)])
    one = Detector(score=0.05, classes=wanted[0])(frame)
    same(one, everything[np.array(everything.names) == wanted[0]])
    same(Detector(score=0.05, classes=[])(frame), everything)


def test_score_and_top_k(frame):
    many = Detector(score=0.05)(frame)
    assert len(many) > 3
    few = Detector(score=0.05, top_k=2)(frame)
    same(few, many[:2])
    threshold = float(many.scores[2])
    same(Detector(score=threshold)(frame), many[many.scores >= threshold])
    everything = Detector(score=0, top_k=2_000, iou=1)(frame)
    assert len(everything) == 2_000, "100,000 candidates, cut at top_k"
    assert len(Detector(score=1)(frame)) == 0


def test_iou(frame):
    strict, lax = (Detector(score=0.05, iou=iou)(frame) for iou in (0.2, 1.0))
    assert len(lax) > len(strict) > 0


def test_a_larger_input(frame):
    finer = Detector(size=448, precision="float")
    assert finer.size_hw == (448, 448)
    assert "person" in finer(frame).names


def test_int8_finds_the_same_things(find, frame):
    found = Detector(precision="int8")(frame)
    best = find(frame)
    assert found.names[0] == best.names[0] == "person"
    np.testing.assert_allclose(found.xyxy[0], best.xyxy[0], atol=0.05 * max(frame.shape))


def test_names_that_do_not_match_the_scores(monkeypatch, frame):
    find = Detector()
    find.class_names = find.class_names[:5]
    with pytest.raises(DetectorError, match="scores 80 classes but names 5"):
        find(frame)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_threads_share_one_detector(engine, frame):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    find = Detector(engine=engine, precision="float", score=0.2, streams=2, threads=2)
    frames = [frame, frame[:, ::-1], frame[: len(frame) // 2], 255 - frame]
    expected = [find(f) for f in frames]
    assert len({tuple(e.scores) for e in expected}) == len(frames)

    def right(n):
        found = find.detect_timed(np.ascontiguousarray(frames[n]))[0]
        return np.allclose(found.xyxy, expected[n].xyxy, atol=1e-3)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(right, [0, 1, 2, 3] * 12)) == [True] * 48


@pytest.mark.slow
@needs_photos
def test_both_engines_agree_on_real_photos():
    pytest.importorskip("onnxruntime")
    pair = [
        Detector(engine=engine, precision="float", score=0.3)
        for engine in ("openvino", "onnxruntime")
    ]
    photos = sorted(PHOTOS.glob("*.jpg"))
    assert len(photos) >= 10
    found = 0
    for photo in photos:
        a, b = (find(photo) for find in pair)
        assert a.names == b.names, photo.name
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)
        height, width = cv2.imread(str(photo)).shape[:2]
        np.testing.assert_allclose(
            a.xyxy / [width, height, width, height],
            b.xyxy / [width, height, width, height],
            atol=1e-3,
        )
        found += len(a)
    assert found > 15


@needs_photos
def test_the_dog_picture():
    found = Detector(precision="float")(PHOTOS / "dog.jpg")
    assert {"dog", "bicycle"} <= set(found.names)
