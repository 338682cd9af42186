"""Pictures that are nearly the same: told by a perceptual hash and by exporters' file names.

The hash is the sign of the low frequencies of a 32 x 32 gray picture (the pHash of Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from detector.data.tree import fold
from detector.errors import DetectorError, OutOfMemoryError
from detector.image_header import read_header
from detector.images import MAX_PIXELS, imdecode, quiet_opencv

HASH_BITS = 64
# Measured on 1,062 pictures: unrelated ones differ in 12 bits or more, mostly in about 30;
# copies saved as JPEG at quality 30, halved, stretched, noisy or darker in 0 to 2, brighter in up
# to 6, cropped by 2 % in 6 to 10, by 5 % in 12.
NEAR_BITS = 8
_SIDE, _LOW = 32, 8
# Roboflow's copies of one photograph: `name_jpg.rf.<32 hex digits>.jpg`.
_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9a-f]{32}$", re.IGNORECASE)
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)

Bits = npt.NDArray[np.bool_]


def hash_pictures(paths: Sequence[Path]) -> list[Bits | None]:
    """Two hashes of each picture, (2, 64) bool: as it is and mirrored; None when unreadable."""
    quiet_opencv()
    with ThreadPoolExecutor(max_workers=2) as pool:  # decoding releases the interpreter lock
        return list(pool.map(_hash_file, paths))


def _hash_file(path: Path) -> Bits | None:
    try:
        gray = read_small_gray(path)
    except OutOfMemoryError:
        raise
    except DetectorError:
        return None
    return np.stack([hash_gray(gray), hash_gray(gray[:, ::-1])])


def read_small_gray(path: Path, least_side: int = 2 * _SIDE) -> npt.NDArray[np.uint8]:
    """A picture in gray at 1, 1/2, 1/4 or 1/8 of its size: the smallest of `least_side` or more.

    JPEG decoders skip most of the work then: 24 megapixels take a fifth of the time, 0.4 MB
    instead of 72.
    Raises DetectorError when it cannot be decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DetectorError(f"{path}: cannot be read ({error.strerror})") from None
    header = read_header(data)
    if header is None or not 0 < header.width * header.height <= MAX_PIXELS:
        raise DetectorError(f"{path}: not a picture that can be decoded; save it as JPEG or PNG")
    short = min(header.width, header.height)
    flag = next((f for n, f in _REDUCED if short >= n * least_side), cv2.IMREAD_GRAYSCALE)
    gray = imdecode(data, flag, header, str(path))
    if gray is None:
        raise DetectorError(f"{path}: is damaged and cannot be decoded; copy it again")
    return np.asarray(gray, np.uint8)


def hash_gray(gray: npt.NDArray[np.uint8]) -> Bits:
    """(H, W) gray to (64,) bits: which of the 8 x 8 lowest frequencies lie above their median."""
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    # The constant term says only how bright the picture is: it is not compared.
    low = cv2.dct(small)[1 : _LOW + 1, 1 : _LOW + 1].reshape(-1)
    return np.asarray(low > np.median(low), np.bool_)


def hash_distances(a: Bits, b: Bits) -> npt.NDArray[np.int64]:
    """(M, 64) and (N, 64) bits to (M, N): in how many bits each pair differs."""
    left, right = a.astype(np.float32) * 2 - 1, b.astype(np.float32) * 2 - 1
    distances: npt.NDArray[np.int64] = np.rint((HASH_BITS - left @ right.T) / 2).astype(np.int64)
    return distances


def near_pairs(hashes: Sequence[Bits | None], within: int = NEAR_BITS) -> list[tuple[int, int]]:
    """Index pairs (i < j) that differ in at most `within` bits, one of them mirrored or not."""
    known = np.array([i for i, h in enumerate(hashes) if h is not None], np.int64)
    if not known.size:
        return []
    bits = np.stack([h for h in hashes if h is not None])  # (M, 2, 64)
    pairs = []
    for start in range(0, len(known), 1024):  # bounds the distance matrix to 1024 x M
        block = bits[start : start + 1024, 0]
        distances = np.minimum(hash_distances(block, bits[:, 0]), hash_distances(block, bits[:, 1]))
        for i, j in np.argwhere(distances <= within):
            if start + i < j:
                pairs.append((int(known[start + i]), int(known[j])))
    return pairs


def group_pictures(paths: Sequence[Path], hashes: Sequence[Bits | None]) -> list[list[int]]:
    """Indices of pictures that belong together, each group sorted, the groups by their first.

    Near pairs chain: frames 1 and 9 of a pan share a group through those between.
    """
    parent = list(range(len(paths)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    pairs = near_pairs(hashes)
    first: dict[str, int] = {}
    for i, path in enumerate(paths):
        if copy := _ROBOFLOW.match(path.stem):
            pairs.append((first.setdefault(fold(copy[1]), i), i))
    for i, j in pairs:
        a, b = find(i), find(j)
        parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(paths)):
        groups.setdefault(find(i), []).append(i)
    return list(groups.values())
