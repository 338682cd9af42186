"""The plots: every point is counted, or printed in a paper."""

from __future__ import annotations

import json
from pathlib import Path

from mobilenet_pictures import counts
from mobilenet_pictures.canvas import Canvas, Point
from mobilenet_pictures.chart import Chart, key

PUBLISHED = Path(__file__).parents[2] / "tests" / "model" / "published.json"
NETWORKS = {
    "mobilenet_v1": ("MobileNetV1", "blue"),
    "mobilenet_v2": ("MobileNetV2", "orange"),
    "mobilenet_v3_large": ("MobileNetV3-Large", "green"),
    "mobilenet_v4": ("MobileNetV4-Conv-S", "red"),
    "xception": ("Xception", "purple"),
}
BYTES = 255  # steps of 8 bits


def ratio() -> Canvas:
    """Cost of separable layers over that of full ones, counted and by the formula."""
    canvas = Canvas(800, 400, "Cost ratio of every separable layer against its output channels")
    chart = Chart(canvas, 55, 60, 500, 270, (12, 2600), (0, 0.2), log_x=True)
    ticks = (16, 32, 64, 128, 256, 512, 1024, 2048)
    title = "separable / full convolution, multiply-adds"
    chart.axes(title, ticks, (0, 0.05, 0.1, 0.15, 0.2), "n_c', channels out")
    for kernel, dash in ((3, ""), (5, "5 3")):
        chart.curve([(n, 1 / n + 1 / kernel**2) for n in _steps(14, 2400)], "soft", 1.2, dash)
        chart.curve([(12, 1 / kernel**2), (2600, 1 / kernel**2)], "line", 1, "2 3")
    for name, radius in zip(NETWORKS, (7, 5.8, 4.6, 3.4, 2.2), strict=True):  # equal ones show, too
        _, color = NETWORKS[name]
        points = sorted({(layer.c_out, layer.ratio) for layer in counts.separable_layers(name)})
        chart.dots(points, color, radius)
    names = [("dot", color, name) for name, color in NETWORKS.values()]
    key(canvas, 580, 80, names)
    curves = [("line", "soft", "1/n_c' + 1/3^2"), ("dash", "soft", "1/n_c' + 1/5^2")]
    key(canvas, 580, 190, curves)
    canvas.text(580, 250, "dotted: 1/9 and 1/25,", color="soft", size=12)
    canvas.text(580, 267, "where filtering is all the cost", color="soft", size=12)
    return canvas


def _steps(low: float, high: float, number: int = 60) -> list[float]:
    return [low * (high / low) ** (i / number) for i in range(number + 1)]


def multipliers() -> Canvas:
    """MobileNetV1's cost over width and resolution, counted, squared and as printed."""
    canvas = Canvas(800, 400, "Multiply-adds of MobileNetV1 against width and input size")
    whole = counts.classifier_cost(1.0, 224) / 1e6
    wide = [(i / 8, counts.classifier_cost(i / 8, 224) / 1e6) for i in range(1, 9)]
    large = [(side, counts.classifier_cost(1.0, side) / 1e6) for side in range(32, 225, 32)]
    square_wide = [(i / 64, whole * (i / 64) ** 2) for i in range(65)]
    square_large = [(side, whole * (side / 224) ** 2) for side in range(20, 225, 4)]
    ticks = (0, 100, 200, 300, 400, 500, 600)
    left = Chart(canvas, 60, 60, 310, 270, (0, 1.05), (0, 600))
    left.axes("million multiply-adds, 224 px", (0.25, 0.5, 0.75, 1), ticks, "alpha, width")
    right = Chart(canvas, 460, 60, 310, 270, (20, 236), (0, 600))
    right.axes(
        "million multiply-adds, alpha = 1", (64, 128, 160, 192, 224), ticks, "input side, px"
    )
    for chart, counted, square, points in (
        (left, wide, square_wide, published("width")),
        (right, large, square_large, published("side")),
    ):
        chart.curve(square, "orange", 1.6, "5 3")
        chart.dots(points, "red", 6, hollow=True)
        chart.dots(counted, "blue", 3)
    entries = [("dot", "blue", "counted"), ("ring", "red", "printed in the paper")]
    key(canvas, 75, 80, [*entries, ("dash", "orange", "alpha^2 * 569 M")])
    key(canvas, 475, 80, [*entries, ("dash", "orange", "rho^2 * 569 M")])
    return canvas


def published(axis: str) -> list[Point]:
    """What tables 6 and 7 of MobileNetV1 print: (width or side, million multiply-adds)."""
    points = []
    for entry in json.loads(PUBLISHED.read_text(encoding="utf-8"))["costs"]:
        net, source = entry["net"], entry["source"]
        if "MobileNets, table" not in source or net["kind"] != "classifier":
            continue
        fixed = net["side"] == 224 if axis == "width" else net["width"] == 1.0
        if fixed and net["classes"] == 1000 and net["backbone"] == "mobilenet_v1":
            points.append((net[axis], float(entry["mult_adds"].removesuffix(" M"))))
    return points


def activations() -> Canvas:
    """The activations, and what the int8 file's 8 bits span behind them."""
    canvas = Canvas(800, 400, "ReLU, ReLU6 and hard-swish; ranges of the int8 model's activations")
    xs = [i / 10 - 5 for i in range(141)]
    left = Chart(canvas, 50, 60, 300, 270, (-5, 9), (-1, 9))
    left.axes("activation", (-4, 0, 3, 6, 9), (0, 3, 6, 9), "x")
    left.curve([(x, max(0.0, x)) for x in xs], "soft", 1.6, "5 3")
    left.curve([(x, relu6(x)) for x in xs], "blue", 2.4)
    left.curve([(x, x * relu6(x + 3) / 6) for x in xs if x <= 9], "green", 1.6)
    names = [("dash", "soft", "ReLU"), ("line", "blue", "ReLU6")]
    key(canvas, 70, 82, [*names, ("line", "green", "hard-swish, x * ReLU6(x + 3) / 6")])
    ranges = counts.int8_ranges()
    right = Chart(canvas, 460, 60, 310, 270, (-1, len(ranges)), (0, 75))
    right.axes("range that 8 bits span, int8 file", (), (0, 6, 20, 40, 60), "layers, first to last")
    for clipped, color in ((True, "blue"), (False, "red")):
        points = [(float(i), span) for i, (relu, span) in enumerate(ranges) if relu == clipped]
        right.dots(points, color, 3.5)
    both = [("dot", "red", "linear: projections and sums"), ("dot", "blue", "behind a ReLU6")]
    key(canvas, 580, 82, both)
    return canvas


def relu6(x: float) -> float:
    """min(max(x, 0), 6)."""
    return min(max(x, 0.0), 6.0)


def bottleneck() -> Canvas:
    """How many random features ReLU needs to lose nothing."""
    canvas = Canvas(800, 360, "Chance that ReLU keeps all of its input, against expansion")
    chart = Chart(canvas, 60, 60, 470, 230, (0.9, 6.1), (0, 1))
    name = "t: features for each number that goes in"
    chart.axes(
        "chance that ReLU(T x) still tells x", (1, 2, 3, 4, 5, 6), (0, 0.25, 0.5, 0.75, 1), name
    )
    series = ((2, "purple"), (16, "green"), (24, "orange"), (64, "blue"))
    for inputs, color in series:
        features = range(inputs, 6 * inputs + 1)
        points = [(outputs / inputs, counts.kept(inputs, outputs)) for outputs in features]
        chart.curve(points, color)
        chart.dots([p for p in points if p[0] in (1, 2, 3, 4, 5, 6)], color, 3.5)
    key(canvas, 555, 82, [("line", color, f"{n} numbers in") for n, color in series])
    canvas.text(555, 180, "16, 24 and 64 are widths of", color="soft", size=12)
    canvas.text(555, 197, "MobileNetV2's bottlenecks,", color="soft", size=12)
    canvas.text(555, 214, "t = 6 its expansion", color="soft", size=12)
    return canvas


def head() -> Canvas:
    """What each part of SSD's head costs, in full convolutions and in separable ones."""
    canvas = Canvas(800, 400, "Multiply-adds of SSD's and SSDLite's head, part by part")
    full, light = counts.head_costs("ssd"), counts.head_costs("ssdlite")
    cells = (19, 10, 5, 3, 2, 1)
    scale = 560 / 600e6
    canvas.text(20, 32, "million multiply-adds, MobileNetV2 at 300 px, 80 classes", bold=True)
    for i, side in enumerate(cells):
        y = 60 + 48 * i
        canvas.text(95, y + 22, f"{side} x {side}", anchor="end")
        for costs, shift in ((full, 0), (light, 19)):
            x = 110.0
            for kind, color in (
                ("class_heads", "blue"),
                ("box_heads", "orange"),
                ("extras", "green"),
            ):
                number = i - 2 if kind == "extras" else i  # the first map added is the third
                _, cost = costs.get(f"{kind}.{number}", (0, 0))
                canvas.rect(x, y + shift, cost * scale, 15, color)
                x += cost * scale
            total = (x - 110) / scale / 1e6
            words = f"{total:.0f}" if total >= 10 else f"{total:.2f}"
            label = f"{words}  {'SSDLite' if shift else 'SSD'}" if i < 2 else words
            canvas.text(x + 6, y + shift + 12, label, color="soft", size=12)
    names = (("blue", "classes"), ("orange", "boxes"), ("green", "the layers that make the map"))
    for i, (color, words) in enumerate(names):
        canvas.rect(540, 252 + 22 * i, 14, 14, color)
        canvas.text(562, 264 + 22 * i, words)
    canvas.text(540, 334, "upper bar SSD, lower bar SSDLite", color="soft", size=12)
    sums = [sum(cost for _, cost in costs.values()) / 1e6 for costs in (full, light)]
    canvas.text(540, 352, f"in all {sums[0]:.0f} and {sums[1]:.0f}", color="soft", size=12)
    return canvas
