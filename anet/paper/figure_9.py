"""The paper's Fig. 9, pictures per second on CPUs: as printed, and from a record of `anet bench`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anet.bench.picture import COLOURS, OTHER, PANELS, label_bars, new_figure, rate_bars, style
from anet.bench.show import read_record
from anet.errors import DataError
from anet.files import printable
from anet.paper.figures import Drawn, under
from anet.paper.published_scores import FPS, FPS_MACHINES, TITLES
from anet.provenance import machine


def figure_9(speed: Path, others: Sequence[Path] = ()) -> Drawn:
    """Draw the paper's bars, Windows above Linux, beside measured ones: one picture at a time above many at once.

    `speed` is a record of `anet bench`, `others` are named as not drawn. Raises DataError for a file that is none.
    """
    result = read_record(Path(speed))
    where, size = result["machine"], result["size"]
    found = {title: _rates(result["rows"], mode, threads) for mode, threads, title in PANELS}
    said = [
        f"Here: {where['cpu']}, {where['cores']} cores, {size[0]} x {size[1]}; {Path(speed).name}. A bar is plain "
        "A-Net's rate times the median ratio to it, round by round; lines are 5–95 % of the rounds. All but "
        "a bundle are untrained networks in float32 by OpenVINO; a bundle's name says its precision and engine.",
        "The paper: OpenVINO's benchmark tool, 224 x 224, batch 1, 5000 runs. Other machines: compare the order, not "
        "the heights.",
    ]
    missing = [TITLES[name] for name in FPS if any(name not in rates for rates in found.values())]
    said += [f"Not measured here: {', '.join(missing)}."] * bool(missing)
    said += [f"Records that are not drawn: {', '.join(sorted(path.name for path in others))}."] * bool(others)
    with style():
        figure = new_figure(12, 6.4)
        panels = figure.subplots(2, 2)
        for place, name in enumerate(FPS_MACHINES):
            rates = {network: (fps[place], fps[place], fps[place]) for network, fps in FPS.items()}
            _bars(panels[place][0], rates, f"printed: {name}", "{:.1f}")
        for place, (title, rates) in enumerate(found.items()):
            _bars(panels[place][1], rates, f"here: {title}", "{:.0f}")
        under(figure, said)
    return Drawn(figure, tuple(said))


def records(results: Path) -> list[Path]:
    """Give the records of `anet bench` in `results/speed`, the one to draw first. Raises DataError where there is none.

    First are those with the most networks of Fig. 9, among them those of this machine, among them the newest.
    """
    found = []
    for path in sorted((Path(results) / "speed").glob("*.json")):
        try:
            record = read_record(path)
        except DataError:  # a record of something else, such as settings that were tried
            continue
        networks = {row["network"] for row in record["rows"]} & FPS.keys()
        found.append(((len(networks), record["machine"] == machine(), path.stat().st_mtime), path))
    if not found:
        raise DataError(
            f"no record of speed in {printable(Path(results) / 'speed')}: `anet bench --networks fig9` makes one"
        )
    return [path for _, path in sorted(found, key=lambda one: one[0], reverse=True)]


def _rates(rows: Sequence[dict[str, Any]], mode: str, threads: int) -> dict[str, tuple[float, float, float]]:
    """Give pictures/s (middle, low, high) of Fig. 9's networks by plain OpenVINO, and of the fastest bundle."""
    mine = {row["name"]: row for row in rows if (row["mode"], row["threads"]) == (mode, threads)}
    names = {network: next((name for name in (f"{network} f32", network) if name in mine), None) for network in FPS}
    rates = {network: _rate(mine[name], mine) for network, name in names.items() if name}
    bundles = {name: _rate(row, mine) for name, row in mine.items() if row.get("trained")}  # all else is untrained
    if bundles:
        best = max(bundles, key=lambda name: bundles[name][0])
        rates[f"anet bundle {best.partition(' ')[2]}"] = bundles[best]  # a bundle's name is that of its folder
    return rates


def _rate(row: dict[str, Any], mine: Mapping[str, dict[str, Any]]) -> tuple[float, float, float]:
    """Give what a row did beside plain A-Net in the same rounds; its own time only where that was not measured."""
    if row["ratio"]:
        plain = 1000 / mine["plain"]["ms"]["median"]
        return tuple(plain * row["ratio"][key] for key in ("median", "low", "high"))
    return tuple(1000 / row["ms"][key] for key in ("median", "high", "low"))


def _bars(axes: Any, rates: Mapping[str, tuple[float, float, float]], title: str, form: str) -> None:
    rate_bars(axes, list(rates.values()), [COLOURS.get(name, OTHER) for name in rates], form, 8)
    labels = [TITLES.get(name, name.replace("anet ", "A-Net\n").replace("bundle ", "")) for name in rates]
    label_bars(axes, labels, title, 7)
