"""Where ImageNet weights come from: the file's check, and the messages without network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from detector.errors import DetectorError
from detector.model import pretrained
from detector.model.foreign import Published
from detector.model.pretrained import imagenet_backbone
from detector.model.zoo import make_backbone


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache, and downloads that fail and are written down."""
    asked: list[str] = []

    def fail(url: str, *_: object) -> None:
        asked.append(url)
        raise URLError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return asked


def place(folder: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Their weights as a .pth in the cache, under a name with its digest, which is 'published'."""
    (folder / "checkpoints").mkdir()
    torch.save(network.state_dict(), folder / "x.pth")
    digest = hashlib.sha256((folder / "x.pth").read_bytes()).hexdigest()[:8]
    path = (folder / "x.pth").rename(folder / "checkpoints" / f"net-{digest}.pth")
    found = Published(network, (0.5,) * 3, (0.5,) * 3, url=f"https://example.org/a/{path.name}")
    for name in ("mobilenet_v2", "mobilenet_v3_small_full_tail"):
        monkeypatch.setitem(pretrained.PUBLISHED, name, lambda: found)
    return path


def test_a_file_in_the_cache_is_read_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: list[str]
) -> None:
    network = make_backbone("mobilenet_v2")
    place(tmp_path, network, monkeypatch)
    backbone = imagenet_backbone("mobilenet_v2")
    assert torch.equal(backbone.stem.conv.weight, network.stem.conv.weight)
    assert offline == []


def test_the_reduced_tail_starts_from_the_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path, make_backbone("mobilenet_v3_small_full_tail"), monkeypatch)
    assert imagenet_backbone("mobilenet_v3_small").out_channels == (288, 576)


def test_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(tmp_path, make_backbone("mobilenet_v2"), monkeypatch)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DetectorError, match=r"net-\w+\.pth: its sha256 is .* delete it"):
        imagenet_backbone("mobilenet_v2")


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (self.path,)


def test_code_in_a_file_never_runs(tmp_path: Path) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "evil.pth"
    torch.save({"x": Trap(sprung)}, path)
    with pytest.raises(DetectorError, match=r"evil\.pth: not a file of tensors"):
        pretrained._read(path)
    assert not sprung.exists()


def test_offline_says_which_file_to_place_where(tmp_path: Path, offline: list[str]) -> None:
    with pytest.raises(DetectorError) as caught:
        imagenet_backbone("mobilenet_v2")
    message = str(caught.value)
    assert len(offline) == 1
    name = offline[0].rsplit("/", 1)[-1]
    assert str(tmp_path / "checkpoints" / name) in message
    assert "Network is unreachable" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["mobilenet_v1_shallow", "mobilenet_v1_full"])
def test_what_nobody_publishes(name: str, offline: list[str]) -> None:
    with pytest.raises(DetectorError, match=f"nobody publishes them for {name}; expected one of"):
        imagenet_backbone(name)
    assert offline == []


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v4", "xception"])
def test_what_timm_says_can_be_asked_for(name: str) -> None:
    """A place to get it from, and a way to check it."""
    pytest.importorskip("timm", reason="timm is not installed")
    found = pretrained.PUBLISHED[name]()
    assert found.hub.startswith("timm/") or pretrained._digest_in(found.file_name)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large_full_tail"])
def test_torchvisions_files_have_a_digest_in_their_names(name: str) -> None:
    assert len(pretrained._digest_in(pretrained.PUBLISHED[name]().file_name)) == 8
