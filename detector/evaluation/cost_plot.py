"""What each block of a network costs, as bars."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from detector.evaluation.cost_text import contents, si
from detector.evaluation.svg import BLUE, GREEN, ORANGE, SETTINGS, SKY, SOFT
from detector.model.cost import totals
from detector.model.cost_table import Block, Network, blocks, kind_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOR = {"1x1": BLUE, "depthwise": ORANGE, "full": GREEN, "other": SKY}
ROW, MARGIN, WIDTH = 0.2, 1.4, 11.0  # inches
DPI = 150
FIXED = "\N{NO-BREAK SPACE}"  # SVG joins plain spaces into one


def draw(network: Network, form: str) -> bytes:
    """A picture file, form "png" or "svg": mult-adds, parameters and memory, a row for each block.

    The bars are coloured by the kind of layer.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    parts = blocks(network.rows)
    params, multiply_adds = totals(network.rows)
    memory = sum(part.memory for part in parts)
    content = io.BytesIO()
    with rc_context({**SETTINGS, "svg.hashsalt": "cost"}):
        figure = Figure((WIDTH, MARGIN + ROW * len(parts)), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        _bars(panels[0], parts, "multiply_adds", f"mult-adds: {si(multiply_adds)}")
        _bars(panels[1], parts, "params", f"parameters: {si(params)}")
        _bars(panels[2], parts, "memory", f"bytes of outputs, float32: {si(memory)}")
        longest = max(len(contents(part)) for part in parts)
        texts = [f"{part.name:<14}{contents(part):<{longest}}" for part in parts]
        labels = [text.replace(" ", FIXED) for text in texts]
        panels[0].set_yticks(range(len(parts)), labels, fontsize=8, family="monospace")
        panels[0].set_ylim(len(parts) - 0.4, -0.6)  # the first layer on top
        title = f"{network.backbone}, width {network.width:g}, {network.side} px"
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        handles, kinds = panels[0].get_legend_handles_labels()
        figure.legend(handles, kinds, loc="outside lower right", ncols=len(kinds))
        # No date: the same network gives the same file.
        figure.savefig(content, format=form, metadata={"Date": None} if form == "svg" else {})
    return content.getvalue()


def _bars(axes: Axes, parts: list[Block], what: str, title: str) -> None:
    """One panel: a bar for each block, in pieces for the kinds of layers in it."""
    from matplotlib.ticker import EngFormatter

    left = [0.0] * len(parts)
    for kind, color in COLOR.items():
        # The batch norms are in their convolutions here.
        sums = [sum(getattr(r, what) for r in part.layers if kind_of(r) == kind) for part in parts]
        if any(sums):
            axes.barh(range(len(parts)), sums, left=left, color=color, height=0.75, label=kind)
        left = [before + more for before, more in zip(left, sums, strict=True)]
    axes.set_title(title, loc="left", fontsize=10, color=SOFT)
    axes.set_xlim(0, 1.03 * max(1.0, *left))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", linewidth=0.6)
    axes.spines["left"].set_visible(False)
