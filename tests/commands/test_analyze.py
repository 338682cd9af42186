"""`detector analyze`: what it prints, writes and refuses."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from detector.cli import main
from detector.model.checkpoint import ModelCard, build
from detector.model.zoo import BACKBONES
from detector.predictor import COCO_FLOAT, WEIGHTS

DOCS = Path(__file__).parents[2] / "docs" / "architectures.md"
NARROW = ("--width", "0.25", "--size", "96")


def run(*words) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", *map(str, words)])
    return ended.value.code or 0


def test_the_embedded_model(capsys, tmp_path) -> None:
    assert run("--model", "coco", "--json", tmp_path / "a.json") == 0
    out = capsys.readouterr().out
    assert out.startswith("mobilenet_v2, width 1, 300 px, SSDLite head\n")
    assert "4.32 M      733 M" in out
    got = json.loads((tmp_path / "a.json").read_text())
    assert (got["backbone"], got["size"], got["params"]) == ("mobilenet_v2", 300, 4320660)


def test_a_network_by_name_is_the_model_of_that_name(capsys) -> None:
    assert run("--json", "-") == 0
    named = capsys.readouterr().out
    assert run("--model", WEIGHTS / "ssdlite_mobilenet_v2_coco.safetensors", "--json", "-") == 0
    assert json.loads(named) == json.loads(capsys.readouterr().out)


def test_a_checkpoint_of_a_run(capsys, tmp_path) -> None:
    card = ModelCard(("a", "b"), 0.25, "mobilenet_v1", head="ssd", input_size=96)
    state = {f"model.{name}": value for name, value in build(card).state_dict().items()}
    torch.save({"card": asdict(card), "state_dict": state}, tmp_path / "best.ckpt")
    assert run("--model", tmp_path / "best.ckpt") == 0
    assert capsys.readouterr().out.startswith("mobilenet_v1, width 0.25, 96 px, SSD head\n")


def test_head_classes_and_detail(capsys) -> None:
    assert run(*NARROW, "--head", "ssd", "--classes", "3", "--all") == 0
    out = capsys.readouterr().out
    assert "SSD head" in out
    assert "class_heads.0.predict  3x3" in out
    assert "->9x6x6" in out
    assert run(*NARROW, "--head", "none", "--full") == 0
    out = capsys.readouterr().out
    assert "class_heads" not in out
    assert "1/N + 1/K^2" in out


def test_several_are_a_row_each(capsys) -> None:
    words = ("--backbone", "mobilenet_v1,mobilenet_v1_shallow", "--width", "0.25", "0.5")
    assert run(*words, "--size", "64", "--head", "none") == 0
    head, _, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[1] == "network"
    assert [(row[1], row[3], row[5]) for row in rows] == [
        (name, width, "64")
        for name in ("mobilenet_v1", "mobilenet_v1_shallow")
        for width in ("0.25", "0.5")
    ]


def test_several_in_json(capsys) -> None:
    assert run("--width", "0.25", "--size", "64", "96", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(net["backbone"], net["size"]) for net in found] == [
        ("mobilenet_v2", 64),
        ("mobilenet_v2", 96),
    ]
    assert found[0]["params"] == found[1]["params"]


@pytest.mark.slow
def test_the_documents_tables_are_this_commands(capsys) -> None:
    pytest.importorskip("timm")
    text = DOCS.read_text(encoding="utf-8")
    commands = re.findall(r"^`(detector analyze .*)`$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert run(*command.split()[2:]) == 0
        assert capsys.readouterr().out in text


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot(tmp_path, suffix) -> None:
    path = tmp_path / f"cost.{suffix}"
    assert run(*NARROW, "--plot", path) == 0
    assert path.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backbone", "mobilnet_v2"], "'mobilnet_v2' is unknown; did you mean mobilenet_v2?"),
        (["--backbone", "vgg"], "'vgg' is unknown; expected one of mobilenet_v1,"),
        (["--size", "31"], "--size 31: expected 32 to 1024 pixels"),
        (["--size", "96", "1025"], "--size 1025"),
        (["--width", "0"], "--width 0.0: expected above 0, at most 4"),
        (["--width", "nan"], "--width nan"),
        (["--classes", "0"], "--classes 0"),
        (["--model", str(COCO_FLOAT)], "expected a .safetensors file or best.ckpt"),
        (["--model", "absent.safetensors"], "no such weights file"),
        (["--model", "absent.ckpt"], "no such checkpoint"),
        (["--model", "coco", "--width", "0.5"], "leave out --width"),
        (["--model", "coco", "--head", "none"], "leave out --head"),
        (["--plot", "cost.pdf"], "expected a .png or .svg file"),
        (["--plot", "nowhere/cost.png", *NARROW], "there is no folder nowhere"),
        (["--json", "nowhere/cost.json", *NARROW], "there is no folder nowhere"),
        (["--summary", "--plot", "cost.png"], "--plot, --all and --full are of one network"),
    ],
)
def test_what_it_refuses(words, said, capsys) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.startswith("error: ")
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.slow
def test_a_summary_leaves_out_what_cannot_be_built(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert run("--summary", "--width", 0.25, "--size", 96) == 0
    said = capsys.readouterr()
    assert "mobilenet_v4" not in said.out
    assert all(name in said.out for name in BACKBONES if name != "mobilenet_v4")
    assert said.err.startswith("mobilenet_v4 is left out: this network needs timm")
    assert run("--backbone", "mobilenet_v4") == 2
