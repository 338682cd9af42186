"""Tables of costs: whole, true to the figures, and no wider than a terminal."""

from __future__ import annotations

import pytest
import torch

from detector.evaluation.cost_text import by_block, by_layer, contents, report, si, summary, table
from detector.model.cost import totals
from detector.model.cost_table import Network, blocks, count, folded, separables
from detector.model.ssdlite import SSDLite
from detector.model.zoo import make_backbone


@pytest.fixture(scope="module", params=["mobilenet_v1", "mobilenet_v3_large", "xception"])
def network(request) -> Network:
    with torch.device("meta"):  # shapes alone: no random numbers to draw
        model = SSDLite(make_backbone(request.param), 80)
    return count(model, request.param, 1.0, "ssdlite", 320)


def test_tables_fit_into_100_columns(network: Network) -> None:
    for detail in ("blocks", "layers", "full"):
        lines = report(network, detail).splitlines()
        assert max(map(len, lines)) <= 100, detail


def test_a_line_for_each(network: Network) -> None:
    assert len(by_block(network.rows).splitlines()) == 1 + len(blocks(network.rows))
    assert len(by_layer(network.rows).splitlines()) == 1 + len(folded(network.rows))
    for layer in separables(network.rows):
        row = f"{layer.ratio:.4f}"
        assert any(line.endswith(row) for line in report(network, "full").splitlines())


def test_totals_are_said(network: Network) -> None:
    params, multiply_adds = totals(network.rows)
    said = [line.split() for line in report(network, "blocks").splitlines()]
    assert ["in", "all", *si(params).split(), *si(multiply_adds).split()] in said


def test_summary_is_a_markdown_table(network: Network) -> None:
    head, rule, row = summary([network]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 13
    assert len(head) == len(rule) == len(row)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == [network.backbone, "1", "320", si(totals(network.rows)[0])]


def test_a_block_in_short() -> None:
    with torch.device("meta"):
        nets = [make_backbone(name) for name in ("mobilenet_v3_large", "xception")]
    v3, xception = (
        {block.name: contents(block) for block in blocks(count(net, "", 1, "none", 64).rows)}
        for net in nets
    )
    assert v3["stem"] == "3x3/2"
    assert v3["blocks.3"] == "1x1 dw5/2 se 1x1"
    assert xception["blocks.0"] == "dw3 1x1 dw3 1x1 max/2 1x1/2"
    assert xception["blocks.5"] == "3 (dw3 1x1)"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, "1.00 k"),
        (1000, "1.00 k"),
        (9996, "10.0 k"),
        (18_000_000, "18.0 M"),
        (732_900_000, "733 M"),
        (1.25e9, "1.25 G"),
        (5e13, "5.00e+04 G"),
    ],
)
def test_figures(number: float, text: str) -> None:
    assert si(number) == text


def test_columns_line_up() -> None:
    assert table(["a", "bb"], [["xyz", "1"]]) == "a    bb\nxyz   1"
