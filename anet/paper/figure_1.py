"""The paper's Fig. 1, IoU over "FLOPs": as printed, and as measured here under either protocol."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from anet.bench.picture import new_figure, style
from anet.paper.figures import Drawn, these, under
from anet.paper.measured import PROTOCOLS, cells, read_ledger
from anet.paper.published import PRINTED
from anet.paper.published_scores import COLUMNS, TITLES, printed
from anet.paper.tables import cost_table

LIGHT = ("bisenet", "bisenetv2", "stdc", "erfnet", "esnet", "enet", "topformer")  # the paper's "lightweight"
CIRCLE = 26.0  # points² for a million parameters
MARGIN = 6  # points of IoU above and below the circles
GAP, FARTHEST = 3, 200  # pixels between a circle and its label
ANGLES = [
    math.radians(one) for one in (90, 270, 0, 180, *range(45, 360, 90), *range(15, 360, 30))
]  # the first free one


def figure_1(results: Path) -> Drawn:
    """Draw IoU on inclusion over "FLOPs", circles as large as parameters: printed, and measured over true MACs.

    A panel a protocol under which something was trained. Raises DataError for results that cannot be read, OptionError
    for no folder.
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
        here[protocol] = {
            TITLES[name]: Circle(name, cost[name].true_macs / 1e9, cell.iou, cost[name].true_params / 1e6)
            for name, cell in found.items()
        }
        missing = [TITLES[name] for name in cost if name not in found | dict(others)]
        said.append(f"Not trained here, protocol {protocol}: {these(missing) or 'none'}.")
        if others:
            trained = "; ".join(words for _, words in others)
            otherwise.append(f"Trained otherwise and not drawn, protocol {protocol}: {trained}.")
            said[-1] += f" {len(others)} trainings of another kind are not drawn."
    shown = {protocol: circles for protocol, circles in here.items() if circles}
    with style():
        figure = new_figure(6 * (1 + len(shown)), 5.6)
        panels = figure.subplots(1, 1 + len(shown), sharex=True, squeeze=False)[0]
        panels[0].set(xscale="log", xlim=(0.12, 900), ylim=_range([paper]), ylabel="IoU / %")
        panels[0].set(title="printed: NEU inclusion", xlabel='the paper\'s "FLOPs" / G')
        for axes, protocol in zip(panels[1:], shown, strict=True):
            axes.set(title=f"here: SD-saliency-900 inclusion, other labels, {protocol}")
            axes.set(ylim=_range(shown.values()), xlabel="true multiply-accumulates / G")
        under(figure, said)
        figure.draw_without_rendering()  # labels find their places among pixels
        for axes, circles in zip(panels, (paper, *shown.values()), strict=True):
            _circles(axes, circles)
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


def _range(panels: Iterable[Mapping[str, Circle]]) -> tuple[float, float]:
    known = [one.iou for circles in panels for one in circles.values()]
    return min(known) - MARGIN, max(known) + MARGIN


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
