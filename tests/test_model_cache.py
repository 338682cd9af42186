"""The folder of compiled models."""

import os
import threading

import pytest

from detector import model_cache
from detector.model_cache import cache_folder, key_of, load, prune, store


def test_what_is_stored_is_loaded(tmp_path):
    folder = tmp_path / "deep" / "er"
    assert load(folder, "a") is None
    assert store(folder, "a", b"compiled")
    assert store(folder, "b", b"")
    assert load(folder, "a") == b"compiled"
    assert load(folder, "b") == b""
    assert store(folder, "a", b"anew")
    assert load(folder, "a") == b"anew"
    assert len(list(folder.iterdir())) == 2, "no temporary file is left"


@pytest.mark.parametrize("damage", ["empty", "cut", "short", "flipped", "longer"])
def test_a_damaged_file_is_as_none(tmp_path, damage):
    store(tmp_path, "a", b"compiled" * 100)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": whole[:-1],
            "short": whole[:10],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "longer": whole + b"x",
        }[damage]
    )
    assert load(tmp_path, "a") is None
    store(tmp_path, "a", b"again")
    assert load(tmp_path, "a") == b"again"


def test_keys_differ_with_the_circumstances():
    keys = {key_of(m, c) for m in (b"1", b"2") for c in ([], ["a"], ["b"], ["a", "b"], ["b", "a"])}
    assert len(keys) == 10
    assert key_of(b"1", ["a", 3]) == key_of(b"1", ["a", 3])


def put(folder, name, size, age):
    path = folder / name
    path.write_bytes(b"x" * size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_the_least_recently_used_go(tmp_path):
    for i in range(6):
        put(tmp_path, f"detector-{i}.blob", 10, age=i)
    put(tmp_path, "detector-x.part", 10, age=50)
    put(tmp_path, "holiday.blob", 10, age=99)
    prune(tmp_path, max_files=4, max_bytes=35)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *(f"detector-{i}.blob" for i in range(3)),
        "holiday.blob",
    ], "files of others stay"
    prune(tmp_path, max_files=2, max_bytes=1000)
    assert len(list(tmp_path.glob("detector-*"))) == 2


def test_loading_counts_as_use_and_storing_prunes(tmp_path, monkeypatch):
    monkeypatch.setattr(model_cache, "prune", lambda folder: prune(folder, 2, 10**6))
    for age, key in enumerate("ab"):
        store(tmp_path, key, b"1")
        os.utime(tmp_path / f"detector-{key}.blob", (1000 - age, 1000 - age))
    assert load(tmp_path, "b") == b"1"
    store(tmp_path, "c", b"1")
    assert [load(tmp_path, key) for key in "abc"] == [None, b"1", b"1"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert not store(tmp_path / "file" / "folder", "a", b"1")
    assert load(tmp_path / "file" / "folder", "a") is None
    assert not store(None, "a", b"1")
    assert load(None, "a") is None


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_cache.Path, "replace", full)
    assert not store(tmp_path, "a", b"1")
    assert list(tmp_path.iterdir()) == []


def test_many_writers_of_one_model(tmp_path):
    payload = os.urandom(200_000)
    results = []

    def write_and_read():
        for _ in range(10):
            store(tmp_path, "a", payload)
            results.append(load(tmp_path, "a") == payload)

    threads = [threading.Thread(target=write_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
    assert [p.name for p in tmp_path.iterdir()] == ["detector-a.blob"]


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTOR_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("DETECTOR_CACHE")
    monkeypatch.setattr(model_cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mobilenet-ssd"
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(model_cache.Path, "home", homeless)
    assert cache_folder() is None
