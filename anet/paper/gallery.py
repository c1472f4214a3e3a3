"""Figs. 5 to 8: one row a class, one column a network, drawn by the very weights that `results/` names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anet.bench.picture import new_figure, style
from anet.data import load, split
from anet.data.dataset import Dataset, Sample
from anet.errors import AnetError, DataError, ModelError, OptionError
from anet.files import printable, read_plain, sha256
from anet.frame import IGNORE
from anet.models import open_model
from anet.paper.figures import Drawn, these, under
from anet.paper.measured import PROTOCOLS, cells, read_ledger
from anet.paper.published_scores import TITLES, Column, columns_of

TABLES = {5: 4, 6: 5, 7: 6, 8: 7}  # figure -> the table whose data it shows
BAND = 10  # columns side by side, as in Fig. 5, or nearly so
MOST_BYTES = 2**30  # of a file that is looked into: larger ones are no weights


@dataclass(frozen=True)
class Line:
    """One class: a test picture, its truth, and a mask for each network whose weights were found."""

    column: Column
    name: str  # of the picture in its data set
    image: np.ndarray  # (H, W, 3) uint8
    truth: np.ndarray  # (H, W) uint8 class ids
    masks: dict[str, np.ndarray]  # network -> (H, W) uint8
    missing: dict[str, str]  # network -> why it is not drawn


def figure_of(number: int, results: Path, runs: Path, data_root: Path, protocol: str = "grouped") -> Drawn:
    """Draw Fig. `number` (5 to 8) from trained networks below `runs` and pictures below `data_root`.

    A network is drawn on a class when the ledger has its score and a file below `runs` has the SHA-256 that the score
    names, with the threshold of the score. The picture is the test picture whose defect area is the median. Raises
    DataError when there is nothing to draw and for results that cannot be read, ModelError for weights that cannot,
    OptionError for no folder of runs or results and for an unknown protocol.
    """
    if not Path(runs).is_dir():
        raise OptionError(f"--runs {printable(runs)} is no folder: one that holds runs or bundles works")
    if protocol not in PROTOCOLS:
        raise OptionError(f"no protocol {protocol!r} in the paper's figures: {', '.join(PROTOCOLS)} exist")
    ledger, files = read_ledger(results), weights(Path(runs))
    lines, said = [], [f"Protocol {protocol}; of each class the test picture of median defect area."]
    for column in columns_of(TABLES[number]):
        try:
            lines.append(read_line(column, ledger, files, Path(data_root), protocol))
            said.append(_about(lines[-1]))
        except AnetError as error:
            said.append(f"{column.title}: not drawn, {error}.")
    if not any(line.masks for line in lines):
        advice = "`anet study run PLAN --out MINE` trains what --results MINE draws"
        raise DataError(f"nothing to draw in figure {number}: {' '.join(said[1:])} {advice}")
    return Drawn(draw([line for line in lines if line.masks], said), tuple(said))


def weights(runs: Path) -> dict[str, Path]:
    """Give the models below a folder by the SHA-256 that results name them by: weights' files and bundles' cards."""
    found: dict[str, Path] = {}
    for path in sorted([*runs.rglob("*.safetensors"), *runs.rglob("card.json")]):
        if path.name != "resume.safetensors" and path.is_file() and path.stat().st_size < MOST_BYTES:
            found.setdefault(
                sha256(read_plain(path, MOST_BYTES, ModelError)), path.parent if path.name == "card.json" else path
            )
    return found


def read_line(
    column: Column, ledger: Sequence[dict[str, Any]], files: dict[str, Path], data_root: Path, protocol: str
) -> Line:
    """Read a class's picture and let every network that is there look at it. Raises Data-, Image- and ModelError."""
    dataset = load(data_root / column.folder, column.task)
    sample = median_sample(split(dataset, protocol).test, dataset)
    image, truth = sample.read(dataset.classes)
    (found, left), digest = cells(ledger, column.data, column.task, protocol), dataset.digest()
    otherwise = {network for network, _ in left}
    masks, missing = {}, {}
    for network in TITLES:
        score = found[network].runs[0] if network in found else None  # of the first seed
        if score is None:
            missing[network] = "trained otherwise" if network in otherwise else "not trained"
        elif score["data"]["digest"] != digest:
            missing[network] = "trained on other pictures than these"
        elif (model := files.get(score["model"]["sha256"])) is None:
            missing[network] = "weights not below --runs"
        else:
            masks[network] = open_model(model).at(score["threshold"]["value"])(image)
    return Line(column, sample.name, image, truth, masks, missing)


def median_sample(samples: Sequence[Sample], dataset: Dataset) -> Sample:
    """Give the defective picture whose share of defect pixels is the median. Raises DataError without any."""
    shares = []
    for sample in samples:
        mask = sample.read(dataset.classes)[1]
        if share := float(((mask > 0) & (mask != IGNORE)).mean()):
            shares.append((share, sample.name, sample))
    if not shares:
        raise DataError(f"no defect in the test part of {dataset.name}, {dataset.task}")
    return sorted(shares)[len(shares) // 2][2]


def _about(line: Line) -> str:
    """Say which picture a line shows, and who is missing for what reason."""
    reasons: dict[str, list[str]] = {}
    for network, reason in line.missing.items():
        reasons.setdefault(reason, []).append(TITLES[network])
    told = "; ".join(f"{reason}: {these(names)}" for reason, names in reasons.items())
    return f"{line.column.title}: {printable(line.name)}" + (f". Missing: {told}." if told else ".")


def draw(lines: Sequence[Line], said: Sequence[str]) -> Any:
    """Draw lines in even bands of about ten columns: picture, truth and networks, then picture and more networks."""
    networks = [name for name in TITLES if any(name in line.masks for line in lines)]
    others = ["truth", *networks]
    each = math.ceil(len(others) / max(1, round(len(others) / (BAND - 1))))
    bands = [["image", *others[at : at + each]] for at in range(0, len(others), each)]
    wide = max(map(len, bands))
    with style():
        figure = new_figure(max(1.25 * wide + 0.6, 6.5), 1.35 * len(lines) * len(bands) + 0.2 * len(said) + 0.7)
        panels = figure.subplots(len(bands) * len(lines), wide, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for row, (band, line) in enumerate((band, line) for band in bands for line in lines):
            last = (row + 1) % len(lines) == 0
            for axes, what in zip(panels[row], band, strict=False):
                _panel(axes, line, what, last)
            panels[row][0].set_axis_on()
            panels[row][0].set_ylabel(line.column.title, rotation=0, ha="right", va="center")
        under(figure, said)
    return figure


def _panel(axes: Any, line: Line, what: str, last: bool) -> None:
    """Show one picture or mask; the names stand below the last row of a band, as in the paper."""
    mask = line.truth if what == "truth" else line.masks.get(what)
    if what == "image":
        axes.imshow(line.image)
    elif mask is None:
        axes.imshow(np.full_like(line.image, 255))
        words = line.missing[what].replace(" ", "\n")
        axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=7, transform=axes.transAxes)
    else:
        axes.imshow((mask > 0) & (mask != IGNORE), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if last:
        axes.set_xlabel({"image": "Image", "truth": "Ground truth"}.get(what, TITLES.get(what, what)), fontsize=8)
