"""Training curves as inline SVG: no library, no script, and colours from the page's style sheet (light and dark)."""

import html
import math
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 38  # margins in the same units: labels stay inside
ABSURD = 1e15  # a diverged loss is a gap: it would flatten all else
HOVERED = 150  # up to so many epochs each point tells its value under the mouse


@dataclass(frozen=True)
class Series:
    """One line: `key` in the history's rows, the name people read, and the style sheet's class."""

    key: str
    name: str
    style: str


PANELS = (
    ("Loss", None, (Series("train_loss", "training", "first"), Series("val_loss", "validation", "second"))),
    ("IoU, validation pictures", 1.0, (Series("val_iou", "validation", "second"),)),
)


def curves(history: list[dict], kept: object = None) -> str:
    """Give one figure per panel for rows with `epoch`, `train_loss`, `val_loss`, `val_iou`; "" when there is nothing.

    What is missing, None, NaN or infinite becomes a gap in its line. The epoch whose weights were `kept`, where it is
    among them, is a line of its own: it need not be the one with the highest IoU.
    """
    figures = []
    for title, top, every in PANELS:
        lines = [(series, points) for series in every if any(points := _points(history, series.key))]
        if lines:
            figures.append(_figure(title, top, lines, number(kept)))
    return "".join(figures)


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Give round numbers, at most `most`, from the one at or below `low` to the one at or above `high`."""
    span = max(high - low, 1e-9 * max(abs(low), abs(high)), 1e-12)
    for step in (m * 10.0**e for e in range(math.floor(math.log10(span)) - 2, 400) for m in (1, 2, 5)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            return [float(f"{n * step:.12g}") for n in range(first, max(last, first + 1) + 1)]
    raise AssertionError("no step is wide enough")


def number(value: object) -> float | None:
    """Give a finite float, or None for anything that cannot be drawn."""
    try:
        value = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _points(history: list[dict], key: str) -> list[tuple[float, float] | None]:
    """Give (epoch, value) per row, None where there is none; rows without an epoch are counted from 1."""
    points: list[tuple[float, float] | None] = []
    for place, row in enumerate(history, start=1):
        epoch, value = number(row.get("epoch", place)), number(row.get(key))
        points.append(None if epoch is None or value is None or abs(value) > ABSURD else (epoch, value))
    return points


def _figure(title: str, top: float | None, lines: list[tuple[Series, list]], kept: float | None) -> str:
    known = [point for _, points in lines for point in points if point]
    first, last = min(x for x, _ in known), max(x for x, _ in known)
    y_ticks = ticks(min(0.0, *(y for _, y in known)), max(top or 0.0, *(y for _, y in known)))
    x_ticks = [x for x in ticks(first, max(last, first + 1)) if x == round(x) and first <= x <= max(last, first + 1)]

    def x_at(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - first) / (max(last, first + 1) - first)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    base = HEIGHT - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(_words(title, lines))}">']
    for y in y_ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(y):.1f}" y2="{y_at(y):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y_at(y) + 4.5:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        parts.append(f'<line class="tick" x1="{x_at(x):.1f}" x2="{x_at(x):.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text x="{x_at(x):.1f}" y="{base + 18}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">epoch</text>')
    mark = ""
    if kept is not None and first <= kept <= last:
        parts.append(f'<line class="kept" x1="{x_at(kept):.1f}" x2="{x_at(kept):.1f}" y1="{TOP}" y2="{base}"/>')
        mark = f'<span><i class="kept"></i>kept: epoch {kept:g}</span>'
    for series, points in lines:
        parts.append(_line(series, points, x_at, y_at))
    legend = "".join(f'<span><i class="{s.style}"></i>{s.name}: {_told(s, points)}</span>' for s, points in lines)
    told = f'<figcaption class="legend">{legend}{mark}</figcaption>'
    return f"<figure><h3>{title}</h3>{''.join(parts)}</svg>{told}</figure>"


def _line(series: Series, points: list, x_at, y_at) -> str:
    parts, run = [], []
    for point in [*points, None]:
        if point:
            run.append(f"{x_at(point[0]):.1f},{y_at(point[1]):.1f}")
        elif run:
            alone = f"{run[0]} {run[0]}" if len(run) == 1 else " ".join(run)  # a round cap makes a lone point visible
            parts.append(f'<polyline class="{series.style}" points="{alone}"/>')
            run = []
    known = [point for point in points if point]
    x, y = _best(series, known)
    parts.append(f'<circle class="{series.style}" cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="4"/>')
    for x, y in known if len(known) <= HOVERED else ():
        tip = f"<title>epoch {x:g}, {series.name} {y:.4g}</title>"
        parts.append(f'<circle class="hover" cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="7">{tip}</circle>')
    return "".join(parts)


def _best(series: Series, known: list[tuple[float, float]]) -> tuple[float, float]:
    """Give the point worth a mark: a score's highest, a loss's lowest."""
    return (max if series.key.endswith("iou") else min)(known, key=lambda point: point[1])


def _told(series: Series, points: list) -> str:
    x, y = _best(series, [point for point in points if point])
    return f"{'highest' if series.key.endswith('iou') else 'lowest'} {y:.3g} at epoch {x:g}"


def _words(title: str, lines: list[tuple[Series, list]]) -> str:
    return f"{title} over epochs; " + "; ".join(f"{s.name} {_told(s, points)}" for s, points in lines)
