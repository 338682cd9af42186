"""docs/mobilenets.md: its figures are counted again, its links lead to what they name."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from drawing import drawing_script

from detector.model.cost import totals
from detector.model.cost_table import full_totals, kind_of, separables, shares

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "mobilenets.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())
PRINTED = json.loads((ROOT / "tests" / "model" / "published.json").read_text(encoding="utf-8"))
TOP1 = {"1.0": 70.6, "0.75": 68.4, "0.5": 63.7, "0.25": 50.6, "224": 70.6}
TOP1 |= {"192": 69.1, "160": 67.2, "128": 64.4}  # tables 6 and 7 of the paper


@pytest.fixture(scope="module")
def counts() -> Iterator[ModuleType]:
    with drawing_script():
        yield sys.modules["mobilenet_pictures.counts"]


def table(first: str) -> list[list[str]]:
    """The cells below the heading whose line begins with `first`."""
    lines = PAGE.splitlines()
    (start,) = [i for i, line in enumerate(lines) if line.startswith(f"| {first}")]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def said(pattern: str) -> list[float]:
    """The numbers at the groups of a pattern that the page's words hold exactly once."""
    (found,) = re.finditer(pattern, WORDS)
    return [float(number) for number in found.groups()]


def is_rounded(text: str, value: float) -> bool:
    """Whether `text` is `value` to half of its last digit."""
    return abs(float(text) - value) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9


def test_it_is_one_sitting() -> None:
    assert len(PAGE.splitlines()) <= 250


def test_its_links_lead_to_what_they_name() -> None:
    links = re.findall(r"(?<!!)\[([^\]]+)\]\(([^)]+)\)", PAGE)
    assert len(links) > 20
    for words, target in links:
        path = ROOT / "docs" / target
        assert path.is_file(), target
        if words.startswith("`"):
            name = words.strip("`")
            text = path.read_text(encoding="utf-8")
            assert re.search(rf"^(class |def )?{name}\b", text, re.MULTILINE), (name, target)


def test_its_options_exist() -> None:
    files = [*(ROOT / "detector" / "commands").glob("*.py"), ROOT / "detector/training/options.py"]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for option in set(re.findall(r"--([a-z][a-z-]+)", re.sub(r"\|[-:|]+\|", "", PAGE))):
        assert re.search(rf"^    {option.replace('-', '_')}: ", sources, re.MULTILINE), option


def test_layers_of_v1(counts) -> None:
    rows = counts.backbone_rows("mobilenet_v1")
    sides = {row.name: row.out_shape[1] for row in rows}
    layers = separables(rows)
    seen = []
    for number, *cells in table("layer |"):
        first, last = (re.findall(r"\d+", number) * 2)[:2]
        for i in range(int(first), int(last) + 1):
            layer = layers[i]
            whole = [sides[f"layers.{i}.pointwise.conv"], layer.c_in, layer.c_out]
            assert [int(cell) for cell in cells[:3]] == whole
            millions = [layer.full_multiply_adds / 1e6, layer.multiply_adds / 1e6]
            for cell, value in zip(
                cells[3:], [*millions, layer.ratio, layer.predicted], strict=True
            ):
                assert is_rounded(cell, value), (number, cell, value)
            seen.append(i)
    assert seen == list(range(len(layers))) == list(range(13))


@pytest.mark.slow
def test_other_backbones(counts) -> None:
    lines = table("backbone |")
    assert len(lines) == 6
    for name, number, ratios, millions, times, mixing, filtering in lines:
        rows = counts.backbone_rows(name)
        found = [layer.ratio for layer in separables(rows)]
        low, high = ratios.split(" to ")
        assert int(number) == len(found)
        spent = shares(rows)
        for text, value in (
            (low, min(found)),
            (high, max(found)),
            (millions, totals(rows)[1] / 1e6),
            (times, full_totals(rows)[1] / totals(rows)[1]),
            (mixing.removesuffix(" %"), 100 * spent["1x1"][1]),
            (filtering.removesuffix(" %"), 100 * spent["depthwise"][1]),
        ):
            assert is_rounded(text, value), (name, text, value)
    assert lines[-1][0] == "xception"
    assert said(r"not meant to be small: ([\d.]+) G") == [round(totals(rows)[1] / 1e9, 1)]


def printed(**net: object) -> dict[str, str]:
    """What MobileNetV1's tables 6 and 7 print of a network."""
    net = {"kind": "classifier", "backbone": "mobilenet_v1", "classes": 1000, **net}
    (entry,) = [
        e for e in PRINTED["costs"] if e["net"] == net and "MobileNets, table" in e["source"]
    ]
    return {key: entry[key].removesuffix(" M") for key in ("params", "mult_adds")}


def test_widths(counts) -> None:
    lines = table(r"$\alpha$ at")
    assert len(lines) == 4
    whole = counts.classifier_cost(1.0, 224) / 1e6
    for width, counted, squared, shown, params, shown_params, top1 in lines:
        alpha = float(width)
        rows = counts.backbone_rows("mobilenet_v1", alpha)
        weights = totals(rows)[0] + 1000 * (rows[-1].out_shape[0] + 1)
        assert is_rounded(counted, counts.classifier_cost(alpha, 224) / 1e6)
        assert is_rounded(squared, alpha**2 * whole)
        assert is_rounded(params, weights / 1e6)
        assert {"params": shown_params, "mult_adds": shown} == printed(width=alpha, side=224)
        assert float(top1) == TOP1[width]


def test_sides(counts) -> None:
    lines = table("side at")
    assert len(lines) == 4
    whole = counts.classifier_cost(1.0, 224) / 1e6
    for side, counted, squared, shown, top1 in lines:
        assert is_rounded(counted, counts.classifier_cost(1.0, int(side)) / 1e6)
        assert is_rounded(squared, (int(side) / 224) ** 2 * whole)
        assert shown == printed(width=1.0, side=int(side))["mult_adds"]
        assert float(top1) == TOP1[side]


def test_one_layer_step_by_step() -> None:
    """Counted by test_published; here, that the page has them."""
    steps = [e["mult_adds"] for e in PRINTED["costs"] if "MobileNets, table 3," in e["source"]]
    full, separable, narrow, small = steps
    assert (
        f"{full} full, {separable} separable, {narrow} with $\\alpha$ = 0.75, {small} with" in WORDS
    )


def test_full_convolutions_in_its_words(counts) -> None:
    rows = counts.backbone_rows("mobilenet_v1")
    (times,) = said(r"with full convolutions, which cost ([\d.]+) times as much")
    assert times == round(full_totals(rows)[1] / totals(rows)[1], 1)


def test_what_the_papers_print_of_v3() -> None:
    printed_costs = said(r"at ([\d.]+) G multiply-adds instead of ([\d.]+) G it finds as much")
    rows = {
        e["source"].rpartition(", ")[2]: e for e in PRINTED["costs"] if "table 6" in e["source"]
    }
    assert printed_costs == [float(rows[n]["mult_adds"].split()[0]) for n in ("V3+", "V3")]


def test_ranges_of_the_int8_file(counts) -> None:
    ranges = counts.int8_ranges()
    clipped = [span for relu, span in ranges if relu]
    linear = [span for relu, span in ranges if not relu]
    number, of_relu, high = said(
        r"of (\d+) activations with one scale each, the (\d+) behind a ReLU6 span at most ([\d.]+),"
    )
    assert (number, of_relu) == (len(ranges), len(clipped))
    assert max(clipped) == pytest.approx(high, abs=1e-6)
    of_linear, low, high = said(
        r"the (\d+) behind linear projections and sums ([\d.]+) to ([\d.]+),"
    )
    assert of_linear == len(linear)
    assert (round(min(linear), 1), round(max(linear), 1)) == (low, high)
    assert 10 <= max(linear) / max(clipped) < 11
    (step,) = said(r"steps of 6/255 = ([\d.]+),")
    assert step == round(6 / 255, 3)


def test_an_inverted_residual(counts) -> None:
    """The formula, the count, and what it is compared with."""
    narrow, wide, _, out = counts.channels("mobilenet_v2", "blocks.8")
    rows = [r for r in counts.backbone_rows("mobilenet_v2") if r.name.startswith("blocks.8.")]
    t, f, k = wide // narrow, rows[0].out_shape[1], 3
    cost = totals(rows)[1]
    assert cost == f * f * t * narrow * (narrow + k * k + out)
    full, separable = f * f * k * k * narrow * out, f * f * wide * (k * k + wide)
    channels, side, *millions = said(
        r"for (\d+) channels on (\d+)x14 is ([\d.]+) M: more than a full 3x3 convolution of the "
        r"narrow map \(([\d.]+) M\), a third of a separable layer on the 384 channels within "
        r"\(([\d.]+) M\)"
    )
    assert (channels, side) == (narrow, f)
    assert millions == [round(value / 1e6, 1) for value in (cost, full, separable)]
    assert wide == 384
    assert cost / separable == pytest.approx(1 / 3, abs=0.02)


def test_what_relu_keeps(counts) -> None:
    for inputs, *chances in table("$n$"):
        for t, chance in zip((1, 2, 3, 4, 6), chances, strict=True):
            assert is_rounded(chance, counts.kept(int(inputs), t * int(inputs)))


def test_what_relu_keeps_as_an_experiment(counts) -> None:
    """x can be told from ReLU(T x) where the rows of T with positive outputs span all of x."""
    rng = np.random.default_rng(0)
    trials = 2000
    matrices, inputs = rng.normal(size=(trials, 6, 3)), rng.normal(size=(trials, 3))
    active = np.einsum("ijk,ik->ij", matrices, inputs) > 0
    ranks = np.linalg.matrix_rank(matrices * active[:, :, None])
    chance = counts.kept(3, 6)
    assert np.mean(ranks == 3) == pytest.approx(
        chance, abs=4 * math.sqrt(chance * (1 - chance) / trials)
    )


def test_v3_and_v4_in_its_words(counts) -> None:
    rows = counts.backbone_rows("mobilenet_v3_large")
    squeezes = totals([row for row in rows if ".squeeze." in row.name])
    spent = [
        round(100 * part / whole, digits)
        for part, whole, digits in zip(squeezes, totals(rows), (1, 2), strict=True)
    ]
    assert said(r"it is ([\d.]+) % of the parameters and ([\d.]+) % of the multiply-adds") == spent
    full = [row for row in counts.backbone_rows("mobilenet_v4") if kind_of(row) == "full"]
    (share,) = said(r"full 3x3 convolutions, ([\d.]+) % of its multiply-adds at 224 px")
    assert share == int(100 * totals(full)[1] / totals(counts.backbone_rows("mobilenet_v4"))[1])


def test_v4s_blocks() -> None:
    pytest.importorskip("timm", reason="MobileNetV4's plan is timm's")
    import torch

    from detector.model.layers import ConvBN
    from detector.model.mobilenet_v4 import UniversalInvertedBottleneck
    from detector.model.zoo import make_backbone

    with torch.device("meta"):
        layers = make_backbone("mobilenet_v4").layers
    blocks = [layer for layer in layers if isinstance(layer, UniversalInvertedBottleneck)]
    forms = [(isinstance(b.start, ConvBN), isinstance(b.middle, ConvBN)) for b in blocks]
    order = [(False, True), (True, True), (True, False)]
    found = said(r"Of the (\d+) blocks of Conv-Small (\d+) are V2's, (\d+) filter twice and (\d+)")
    assert found == [len(blocks), *(forms.count(form) for form in order)]
    assert (False, False) not in forms


def test_heads(counts) -> None:
    (_, *full), (_, *light) = table("head |")
    whole = {}
    for head, cells in (("ssd", full), ("ssdlite", light)):
        sums = [sum(part[i] for part in counts.head_costs(head).values()) for i in (0, 1)]
        whole[head] = sums[1]
        for cell, value in zip(cells, sums, strict=True):
            assert is_rounded(cell.removesuffix(" M"), value / 1e6)
    backbone = totals(counts.backbone_rows("mobilenet_v2", 1.0, 300))[1]
    millions, share = said(
        r"itself has (\d+) M\. Under SSD's head it would be a third of the detector's cost, under "
        r"SSDLite's it is (\d+) %"
    )
    assert millions == round(backbone / 1e6)
    assert share == round(100 * backbone / (backbone + whole["ssdlite"]))
    assert backbone / (backbone + whole["ssd"]) == pytest.approx(1 / 3, abs=0.02)
