"""How figures look and become files, and the bars of the paper's Fig. 9 from a measurement of this machine."""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from anet.errors import OptionError
from anet.files import atomic_write

COLOURS = {  # of Fig. 9
    "bisenet": "#00ffff", "bisenetv2": "#8faadc", "stdc": "#c5e0b4", "erfnet": "#f4b183", "esnet": "#c9c9c9",
    "topformer": "#deebf7", "enet": "#ffe699", "anet": "#a9d18e",
}  # fmt: skip
PLAIN, OTHER = "#7f7f7f", "#d9d2e9"
ENDINGS = {".svg": {"Date": None}, ".png": {"Software": None}}  # and what keeps the file's bytes the same
STYLE: dict[Any, Any] = {"svg.hashsalt": "anet", "font.size": 9}
PANELS = (("latency", 0, "one picture after the other"), ("throughput", 0, "many pictures at once"))


def draw(result: dict[str, Any], path: Path) -> list[Path]:
    """Write `path` as PNG and SVG, whatever its ending; give both. Raises OptionError, OutputError."""
    with style():
        names = list(dict.fromkeys(row["name"] for row in result["rows"]))
        figure = new_figure(max(6.0, 0.95 * len(names) + 1.2), 6.4)
        for axes, (mode, threads, title) in zip(figure.subplots(2, 1), PANELS, strict=True):
            _panel(axes, [row for row in result["rows"] if (row["mode"], row["threads"]) == (mode, threads)], title)
        h, w = result["size"]
        where = result["machine"]
        figure.supxlabel(f"{where['cpu']}, {where['cores']} cores; {h} x {w}; bars to the median, lines 5–95 %")
    return [save(figure, Path(path).with_suffix(ending)) for ending in (".png", ".svg")]


def style() -> AbstractContextManager:
    """Give the settings under which figures are drawn and saved. Raises OptionError without matplotlib."""
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError as error:
        raise OptionError("figures need matplotlib: pip install 'anet-inspect[bench]'") from error
    return rc_context(STYLE)


def new_figure(width: float, height: float) -> Any:
    """Make an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> Path:
    """Write a figure as `path` says, one of ENDINGS, all or nothing. Raises OutputError."""
    stream, ending = io.BytesIO(), path.suffix.lower()
    with style():
        figure.savefig(stream, format=ending[1:], dpi=130, metadata=ENDINGS[ending])
    atomic_write(path, stream.getvalue())
    return path


def rate_bars(
    axes: Any, rates: Sequence[tuple[float, ...]], colours: Sequence[str], form: str, size: float | None = None
) -> None:
    """Draw bars of rates (middle, low, high), each with its number in `size` points; lines where there is a spread."""
    places = range(len(rates))
    spread = [(rate - low, high - rate) for rate, low, high in rates]
    lines = {"yerr": tuple(zip(*spread, strict=True)), "error_kw": {"elinewidth": 0.8, "ecolor": "#404040"}}
    axes.bar(places, [rate for rate, _, _ in rates], color=colours, **(lines if any(map(any, spread)) else {}))
    for place, (rate, _, high) in zip(places, rates, strict=True):
        axes.annotate(form.format(rate), (place, high), ha="center", va="bottom", fontsize=size)


def label_bars(axes: Any, labels: list[str], title: str, size: float | None = None) -> None:
    """Give bars of pictures per second their names, in `size` points, a title and lines to read them by."""
    axes.set_xticks(range(len(labels)), labels, fontsize=size)
    axes.set_ylabel("pictures / s")
    axes.set_title(title)
    axes.margins(y=0.12)
    axes.grid(axis="y", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _panel(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    rates = [tuple(1000 / row["ms"][key] for key in ("median", "high", "low")) for row in rows]
    colours = [PLAIN if row["name"] == "plain" else COLOURS.get(row["network"], OTHER) for row in rows]
    rate_bars(axes, rates, colours, "{:.0f}")
    labels = ["A-Net, plain\nconversion" if row["name"] == "plain" else row["name"].replace(" ", "\n") for row in rows]
    label_bars(axes, labels, title)
