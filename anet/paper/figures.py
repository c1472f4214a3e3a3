"""The paper's Fig. 1 and Fig. 9, printed and measured side by side, and how any figure becomes a file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from anet.bench import picture
from anet.bench.picture import COLOURS, ENDINGS, OTHER, label_bars, new_figure, style
from anet.bench.show import read_record
from anet.errors import DataError, OptionError
from anet.files import printable
from anet.paper.measured import PROTOCOLS, cells, read_ledger
from anet.paper.published import PRINTED
from anet.paper.published_scores import COLUMNS, FPS, FPS_MACHINES, TITLES, printed
from anet.paper.tables import cost_table

LIGHT = ("bisenet", "bisenetv2", "stdc", "erfnet", "esnet", "enet", "topformer")  # the paper's "lightweight"
CIRCLE = 26.0  # points² for a million parameters
GAP, FARTHEST = 3, 200  # pixels between a circle and its label
ANGLES = [
    math.radians(one) for one in (90, 270, 0, 180, *range(45, 360, 90), *range(15, 360, 30))
]  # the first free one


@dataclass(frozen=True)
class Drawn:
    """A figure and what must be said with it: what is missing, what was chosen; most of it is below it, too."""

    figure: Any  # matplotlib's
    said: tuple[str, ...]


def save(drawn: Drawn, path: Path) -> Path:
    """Write a figure as `path` says, SVG or PNG, all or nothing. Raises OptionError, OutputError."""
    check_ending(path)
    return picture.save(drawn.figure, Path(path))


def check_ending(path: Path) -> None:
    """Raise OptionError for a file name that is neither SVG nor PNG."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise OptionError(f"{printable(path)}: a figure is written as {' or '.join(ENDINGS)}")


def under(figure: Any, said: Sequence[str]) -> None:
    """Write lines below a figure, wrapped to its width."""
    import textwrap

    width = int(figure.get_size_inches()[0] * 15)
    text = "\n".join(line for one in said for line in textwrap.wrap(one, width))
    figure.supxlabel(text, fontsize=7.5, x=0.01, ha="left")


# Fig. 1


def these(names: Sequence[str]) -> str:
    """Name networks: the many by those that are not among them."""
    others = [title for title in TITLES.values() if title not in names]
    if len(names) < len(others):
        return ", ".join(names)
    return f"all but {', '.join(others)}" if others else "all"


def figure_1(results: Path) -> Drawn:
    """Draw IoU on inclusion over "FLOPs", circles as large as parameters: printed, and measured over true MACs.

    Raises DataError for results that cannot be read, OptionError for no folder.
    """
    ledger, cost = read_ledger(results), {row.name: row.at[224] for row in cost_table((224,))}
    paper = {
        TITLES[name]: Circle(name, PRINTED[name].flops_g[224], iou, PRINTED[name].params_m)
        for name, iou in printed(COLUMNS[0]).items()
        if iou is not None
    }
    here, otherwise = {}, []
    said = ["Circles: area as the parameters, none enlarged (the paper enlarges small ones up to 15 times)."]
    for protocol in PROTOCOLS:
        found, others = cells(ledger, "sd900", "inclusion", protocol)
        for name in found:
            place = Circle(name, cost[name].true_macs / 1e9, found[name].iou, cost[name].true_params / 1e6)
            here[f"{TITLES[name]}, {protocol}"] = place
        missing = [TITLES[name] for name in cost if name not in found | dict(others)]
        said.append(f"Not trained here, protocol {protocol}: {these(missing) or 'none'}.")
        if others:
            trained = "; ".join(words for _, words in others)
            otherwise.append(f"Trained otherwise and not drawn, protocol {protocol}: {trained}.")
            said[-1] += f" {len(others)} trainings of another kind are not drawn."
    with style():
        figure = new_figure(12, 5.6)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        left.set(xscale="log", xlim=(0.12, 900), ylim=(0, 85), ylabel="IoU / %")
        left.set(title="printed: NEU inclusion", xlabel='the paper\'s "FLOPs" / G')
        right.set(title="here: SD-saliency-900 inclusion, other labels", xlabel="true multiply-accumulates / G")
        under(figure, said)
        figure.draw_without_rendering()  # labels find their places among pixels
        _circles(left, paper)
        _circles(right, here)
    return Drawn(figure, (*said, *otherwise))


@dataclass(frozen=True)
class Circle:
    """A network in Fig. 1."""

    network: str
    giga: float
    iou: float  # percent
    params_m: float

    @property
    def points(self) -> float:
        """Radius in points."""
        return math.sqrt(max(CIRCLE * self.params_m, 4) / math.pi)

    @property
    def colour(self) -> str:
        return "#d62728" if self.network == "anet" else "#1f77b4" if self.network in LIGHT else "#6f6f6f"


def _circles(axes: Any, circles: Mapping[str, Circle]) -> None:
    """Draw circles, each with its label beside it where nothing else is; one that had to move away has a thin line."""
    scale = axes.figure.dpi / 72  # pixels in a point
    centres = {label: axes.transData.transform((one.giga, one.iou)) for label, one in circles.items()}
    taken = Taken(axes.get_window_extent(), [(centres[label], one.points * scale) for label, one in circles.items()])
    for label, one in sorted(circles.items(), key=lambda item: -item[1].params_m):
        axes.scatter(one.giga, one.iou, s=math.pi * one.points**2, color=one.colour, alpha=0.45, linewidths=0)
        axes.scatter(one.giga, one.iou, s=3, color="black", linewidths=0)
        about = {"xy": (one.giga, one.iou), "textcoords": "offset points"}
        text = axes.annotate(label, **about, xytext=(0, 0), fontsize=7, color=one.colour, ha="center", va="center")
        box, line = taken.place(centres[label], one.points * scale, text.get_window_extent())
        text.set_position(((box[:2] + box[2:]) / 2 - centres[label]) / scale)
        if line is not None:
            how = {"arrowstyle": "-", "linewidth": 0.5, "color": one.colour, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", **about, xytext=(line - centres[label]) / scale, arrowprops=how)
    axes.grid(linewidth=0.4)
    axes.set_axisbelow(True)


@dataclass
class Taken:
    """What no label may stand on, in pixels: beyond the axes, circles, labels and their lines."""

    inside: Any  # matplotlib's box of the axes
    discs: list[tuple[np.ndarray, float]]  # centre, radius
    boxes: list[np.ndarray] = field(default_factory=list)  # left, bottom, right, top
    lines: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def place(self, centre: np.ndarray, radius: float, text: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the free box for a text that is nearest to its circle, and where a line to it ends; None: beside it."""
        half = np.array([text.width, text.height]) / 2
        box, end = np.concatenate([centre - half, centre + half]), None  # where no place is free
        for away, angle in product(range(GAP, FARTHEST, 3), ANGLES):
            way = np.round([math.cos(angle), math.sin(angle)], 6)
            middle = centre + (radius + away) * way + half * np.sign(way)
            there = np.concatenate([middle - half, middle + half])
            line = centre, np.clip(centre, there[:2], there[2:])
            if self._free(there, line):
                box, end = there, line[1] if away > GAP else None
                self.lines += [line] * (away > GAP)
                break
        self.boxes.append(box)
        return box, end

    def _free(self, box: np.ndarray, line: tuple[np.ndarray, np.ndarray]) -> bool:
        low, high = box[:2] - 1, box[2:] + 1
        if (low < self.inside.min).any() or (high > self.inside.max).any():
            return False
        if any(math.dist(centre, np.clip(centre, low, high)) < radius for centre, radius in self.discs):
            return False
        if any((low < other[2:]).all() and (high > other[:2]).all() for other in self.boxes):
            return False
        along = np.linspace(0, 1, 50)[:, None]
        crossed = [(one + (end - one) * along, box) for one, end in self.lines]
        crossed += [(line[0] + (line[1] - line[0]) * along, other) for other in self.boxes]
        return not any(((points > each[:2]) & (points < each[2:])).all(1).any() for points, each in crossed)


# Fig. 9


def figure_9(speed: Path) -> Drawn:
    """Draw the paper's bars, Windows above Linux, beside this machine's: one picture at a time above many at once.

    `speed` is a record of `anet bench`. Raises DataError for a file that is none.
    """
    result = read_record(Path(speed))
    rows, machine, size = result["rows"], result["machine"], result["size"]
    said = [
        f"Here: {machine['cpu']}, {machine['cores']} cores, {size[0]} x {size[1]}; {Path(speed).name}. The paper: "
        "OpenVINO's benchmark tool, 224 x 224, batch 1, 5000 runs. Other machines: compare the order, not the heights."
    ]
    found = {mode: _rates(rows, mode) for mode in ("latency", "throughput")}
    missing = [TITLES[name] for name in FPS if any(name not in rates for rates in found.values())]
    said += [f"Not measured here: {', '.join(missing)}."] * bool(missing)
    with style():
        figure = new_figure(12, 6.2)
        panels = figure.subplots(2, 2)
        for place, name in enumerate(FPS_MACHINES):
            rates = {network: fps[place] for network, fps in FPS.items()}
            _bars(panels[place][0], rates, f"printed: {name}", "{:.1f}")
        _bars(panels[0][1], found["latency"], "here: one picture after the other", "{:.0f}")
        _bars(panels[1][1], found["throughput"], "here: many pictures at once", "{:.0f}")
        under(figure, said)
    return Drawn(figure, tuple(said))


def newest_speed(results: Path) -> Path:
    """Give the record of `anet bench` in `results/speed` with the most networks of Fig. 9. Raises DataError."""
    found = []
    for path in sorted((Path(results) / "speed").glob("*.json")):
        try:
            found.append((len({row["network"] for row in read_record(path)["rows"]} & FPS.keys()), path))
        except DataError:  # a record of something else, such as settings that were tried
            continue
    if not found:
        raise DataError(
            f"no record of speed in {printable(Path(results) / 'speed')}: `anet bench --networks fig9` makes one"
        )
    return max(found, key=lambda one: one[0])[1]


def _rates(rows: Sequence[dict[str, Any]], mode: str) -> dict[str, float]:
    """Give pictures/s of Fig. 9's networks as plain OpenVINO runs them, and of the bundle that is fastest here."""
    mine = [row for row in rows if row["mode"] == mode and row["threads"] == 0]
    rates = {name: 1000 / row["ms"]["median"] for name in FPS for row in mine if row["name"] in (f"{name} f32", name)}
    bundles = {row["name"]: 1000 / row["ms"]["median"] for row in mine if row.get("trained")}  # all else is untrained
    if bundles:
        best = max(bundles, key=lambda name: bundles[name])
        rates[f"anet bundle {best.partition(' ')[2]}"] = bundles[best]  # a bundle's name is that of its folder
    return rates


def _bars(axes: Any, rates: Mapping[str, float], title: str, form: str) -> None:
    colours = [COLOURS.get(name, OTHER) for name in rates]
    axes.bar(range(len(rates)), list(rates.values()), color=colours)
    for place, rate in enumerate(rates.values()):
        axes.annotate(form.format(rate), (place, rate), ha="center", va="bottom", fontsize=8)
    labels = [TITLES.get(name, name.replace("anet ", "A-Net\n").replace("bundle ", "")) for name in rates]
    label_bars(axes, labels, title, 7)
