"""The bars of the paper's Fig. 9, from a measurement of this machine: pictures per second, one panel a mode."""

import io
from pathlib import Path
from typing import Any

from anet.errors import OptionError
from anet.files import atomic_write

COLOURS = {  # of Fig. 9
    "bisenet": "#00ffff", "bisenetv2": "#8faadc", "stdc": "#c5e0b4", "erfnet": "#f4b183", "esnet": "#c9c9c9",
    "topformer": "#deebf7", "enet": "#ffe699", "anet": "#a9d18e",
}  # fmt: skip
PLAIN, OTHER = "#7f7f7f", "#d9d2e9"
PANELS = (("latency", 0, "one picture after the other"), ("throughput", 0, "many pictures at once"))


def draw(result: dict[str, Any], path: Path) -> list[Path]:
    """Write `path` as PNG and SVG, whatever its ending; give both. Raises OptionError, OutputError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise OptionError("the picture needs matplotlib: pip install 'anet-inspect[bench]'") from error
    with rc_context({"svg.hashsalt": "anet", "font.size": 9}):
        names = list(dict.fromkeys(row["name"] for row in result["rows"]))
        figure = Figure(figsize=(max(6.0, 0.95 * len(names) + 1.2), 6.4), layout="constrained")
        for axes, (mode, threads, title) in zip(figure.subplots(2, 1), PANELS, strict=True):
            _panel(axes, [row for row in result["rows"] if (row["mode"], row["threads"]) == (mode, threads)], title)
        h, w = result["size"]
        where = result["machine"]
        figure.supxlabel(f"{where['cpu']}, {where['cores']} cores; {h} x {w}; bars to the median, lines 5–95 %")
        written = []
        for ending, facts in (("png", {"Software": None}), ("svg", {"Date": None})):
            stream = io.BytesIO()
            figure.savefig(stream, format=ending, dpi=130, metadata=facts)
            written.append(Path(path).with_suffix(f".{ending}"))
            atomic_write(written[-1], stream.getvalue())
    return written


def _panel(axes: Any, rows: list[dict[str, Any]], title: str) -> None:
    rates = [1000 / row["ms"]["median"] for row in rows]
    low = [rate - 1000 / row["ms"]["high"] for rate, row in zip(rates, rows, strict=True)]
    high = [1000 / row["ms"]["low"] - rate for rate, row in zip(rates, rows, strict=True)]
    colours = [PLAIN if row["name"] == "plain" else COLOURS.get(row["network"], OTHER) for row in rows]
    places = range(len(rows))
    axes.bar(places, rates, color=colours, yerr=(low, high), error_kw={"elinewidth": 0.8, "ecolor": "#404040"})
    for place, rate, above in zip(places, rates, high, strict=True):
        axes.annotate(f"{rate:.0f}", (place, rate + above), ha="center", va="bottom")
    labels = ["A-Net, plain\nconversion" if row["name"] == "plain" else row["name"].replace(" ", "\n") for row in rows]
    axes.set_xticks(places, labels)
    axes.set_ylabel("pictures / s")
    axes.set_title(title)
    axes.margins(y=0.12)
    axes.grid(axis="y", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
