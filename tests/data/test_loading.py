"""Pictures in memory within a budget, and a stream that depends on nothing but seed and index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detector.data.augment import flipped_view, plain_view, training_views
from detector.data.example import Example
from detector.data.loading import Pictures, Stream, collate
from detector.data.shrunk import read_shrunk
from detector.errors import DetectorError
from detector.images import read_image


def example(path: Path, *boxes: tuple[float, ...]) -> Example:
    count = len(boxes)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Example(path, xyxy, np.arange(count), np.zeros(count, np.bool_), None, "")


@pytest.fixture
def examples(picture: Callable[..., Path]) -> list[Example]:
    return [
        example(picture(f"{i}.jpg", 160, 120, seed=i), (10, 20, 60, 80), (0, 0, 160, 120))
        for i in range(12)
    ]


def write_rectangle(path: Path, width: int, height: int, box: tuple[int, ...]) -> None:
    image = np.full((height, width, 3), 90, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = (10, 10, 250)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def red_box(image: np.ndarray, red: int) -> np.ndarray:
    difference = image[..., red].astype(int) - image[..., 1]
    rows, columns = np.nonzero(difference > 80)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("share", [1.0, 0.45, 0.06, 0.0])
def test_budget_is_kept_and_views_stay_the_same(examples: list[Example], share: float) -> None:
    side = 50
    everything = Pictures(examples, side, budget=1 << 30)
    plain = everything.used
    assert plain == 12 * 80 * 60 * 3
    some = Pictures(examples, side, budget=round(2 * plain * share))
    assert some.used <= 2 * plain * share
    kinds = {type(kept.data) for kept in some._kept}
    expected = {1.0: {np.ndarray}, 0.45: {np.ndarray, bytes}, 0.0: {type(None)}}
    assert kinds == expected.get(share, kinds)
    assert share != 0.06 or type(None) in kinds
    for i in range(12):
        a, b = everything.view(i), some.view(i)
        assert np.abs(a.image_rgb.astype(int) - b.image_rgb).mean() < 3  # JPEG at most
        np.testing.assert_array_equal(a.xyxy, b.xyxy)


def test_failed_pictures_are_counted_once_and_left_out(
    examples: list[Example], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(examples[0].path.read_bytes()[:300])
    gone = example(tmp_path / "gone.jpg")
    pictures = Pictures([examples[0], example(bad), gone, examples[1]], 50)
    assert [e.path for e in pictures.examples] == [examples[0].path, examples[1].path]
    assert [e.path.name for e, _ in pictures.failed] == ["bad.jpg", "gone.jpg"]
    assert "cut short" in pictures.failed[0][1]
    assert len(pictures) == 2
    stream = Stream(pictures, plain_view(50), plain_view(50), 0, 0)
    assert len([stream[i] for i in range(6)]) == 6


def test_no_readable_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"none of 1 picture can be used; .*no such file"):
        Pictures([example(tmp_path / "gone.jpg")], 50)


def test_a_picture_whose_boxes_all_lie_outside_is_no_negative(picture: Callable[..., Path]) -> None:
    flat, off = example(picture("a.png"), (5, 5, 5, 9)), example(picture("b.png"), (70, 1, 90, 9))
    good, negative = example(picture("c.png"), (5, 5, 9, 9)), example(picture("d.png"))
    pictures = Pictures([flat, off, good, negative], 50)
    assert [e.path.name for e in pictures.examples] == ["c.png", "d.png"]
    assert [reason for _, reason in pictures.failed] == [
        f"{e.path}: of its boxes (1) none has an area inside" for e in (flat, off)
    ]
    assert pictures.dropped_boxes == 0


def test_boxes_without_area_are_counted(picture: Callable[..., Path]) -> None:
    odd = example(picture("a.png"), (5, 5, 5, 9), (30, 9, 10, 20), (70, 1, 90, 9), (60, 2, 90, 9))
    pictures = Pictures([odd], 50)
    assert pictures.dropped_boxes == 3
    view = pictures.view(0)
    assert view.xyxy.tolist() == [[60, 2, 64, 9]]
    assert view.labels.tolist() == [3]


def test_a_view_is_no_window_onto_the_cache(examples: list[Example]) -> None:
    pictures = Pictures(examples[:1], 50)
    before = pictures.view(0).image_rgb.copy()
    pictures.view(0).image_rgb[:] = 0
    np.testing.assert_array_equal(pictures.view(0).image_rgb, before)


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [("a.jpg", 6000, 4000), ("a.jpg", 4001, 6007), ("a.jpg", 970, 643), ("a.png", 970, 643)],
)
def test_boxes_stay_on_objects_in_large_photographs(
    tmp_path: Path, name: str, width: int, height: int
) -> None:
    path = tmp_path / name
    box = (width // 5, height // 7, width // 2, height - 40)
    write_rectangle(path, width, height, box)
    view = Pictures([example(path, box)], 300).view(0)
    assert max(view.image_rgb.shape) == 480
    np.testing.assert_allclose(view.xyxy[0], red_box(view.image_rgb, 0), atol=1)


def test_reduced_reading_sees_what_full_reading_sees(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (12, 18, 3), dtype=np.uint8)
    path = tmp_path / "p.jpg"
    full = cv2.resize(noise, (1800, 1200), interpolation=cv2.INTER_CUBIC)
    path.write_bytes(cv2.imencode(".jpg", full)[1].tobytes())
    small, scale = read_shrunk(path, 200)
    slow = cv2.resize(read_image(path), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - slow).mean() < 1.5
    np.testing.assert_allclose(scale, (200 / 1800, 133 / 1200), rtol=1e-6)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_turned_photographs_come_upright(tmp_path: Path, orientation: int) -> None:
    image_module = pytest.importorskip("PIL.Image")
    stored = np.full((900, 1600, 3), 90, np.uint8)
    stored[100:300, 200:900] = (250, 10, 10)  # RGB
    picture = image_module.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    picture.save(path, exif=exif, quality=95)
    upright = read_image(path)
    box = red_box(upright, 2)
    view = Pictures([example(path, tuple(box))], 100).view(0)
    assert view.image_rgb.shape[:2] == ((90, 160) if orientation == 3 else (160, 90))
    np.testing.assert_allclose(view.xyxy[0], red_box(view.image_rgb, 0), atol=1)


_PEAK = """
import resource, sys
from pathlib import Path
import numpy as np
from detector.data.example import Example
from detector.data.loading import Pictures
none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
examples = [Example(Path(p), *none, None, "") for p in sys.argv[1:]]
Pictures(examples[:1], 300)  # what libraries take for good
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Pictures(examples * 20, 300)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KB on Linux only")
def test_photographs_of_24_megapixels_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    write_rectangle(path, 6000, 4000, (100, 100, 3000, 2000))
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", _PEAK, str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    # One decoded photograph has 70,000 KB; twenty kept at 480 x 320 have 9,000.
    assert int(done.stdout) < 45_000


def test_stream_shows_every_picture_once_a_round(examples: list[Example]) -> None:
    pictures = Pictures(examples, 50)
    stream = Stream(pictures, plain_view(50), plain_view(50), seed=3, calm_from=99)
    keys = [
        torch.from_numpy(plain_view(50)(pictures.view(i), np.random.default_rng(0)).image_rgb)
        for i in range(12)
    ]

    def index_of(sample: int) -> int:
        image = stream[sample][0].permute(1, 2, 0)
        return next(i for i, key in enumerate(keys) if torch.equal(key, image))

    rounds = [[index_of(12 * r + i) for i in range(12)] for r in range(3)]
    assert all(sorted(order) == list(range(12)) for order in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_stream_item_depends_on_seed_and_index_alone(examples: list[Example]) -> None:
    def make(seed: int) -> Stream:
        return Stream(Pictures(examples, 50), training_views(50), flipped_view(50), seed, 40)

    one, two = make(7), make(7)
    forward = {i: one[i] for i in range(48)}
    backward = {i: two[i] for i in reversed(range(48))}
    for i in range(48):
        assert torch.equal(forward[i][0], backward[i][0])
        assert torch.equal(forward[i][1].xyxy, backward[i][1].xyxy)
        assert torch.equal(forward[i][1].labels, backward[i][1].labels)
    other = make(8)
    assert any(not torch.equal(other[i][0], forward[i][0]) for i in range(5))


@pytest.mark.slow
def test_workers_make_the_same_batches(examples: list[Example]) -> None:
    stream = Stream(Pictures(examples, 50), training_views(50), flipped_view(50), 7, 30)
    batches = []
    for workers in (0, 2):
        loader = torch.utils.data.DataLoader(
            stream, batch_size=4, sampler=range(36), num_workers=workers, collate_fn=collate
        )
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 9
    for (a, truths), (b, others) in zip(*batches, strict=True):
        assert torch.equal(a, b)
        assert all(torch.equal(s.xyxy, t.xyxy) for s, t in zip(truths, others, strict=True))


def test_collate_and_the_last_calm_samples(examples: list[Example]) -> None:
    nothing = example(examples[0].path)
    pictures = Pictures([nothing, *examples[1:3]], 50)
    stream = Stream(pictures, training_views(50), plain_view(50), seed=0, calm_from=3)
    images, truths = collate([stream[i] for i in (3, 4, 5)])
    assert images.shape == (3, 3, 50, 50)
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert sorted(len(t.labels) for t in truths) == [0, 2, 2]
    for truth in truths:
        assert truth.xyxy.shape == (len(truth.labels), 4)
        assert truth.xyxy.dtype == torch.float32
        if len(truth.labels):  # calm: as labelled, in fractions
            expected = [[10 / 160, 20 / 120, 60 / 160, 80 / 120], [0, 0, 1, 1]]
            torch.testing.assert_close(truth.xyxy, torch.tensor(expected))
