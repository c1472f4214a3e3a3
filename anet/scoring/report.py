"""The report of a training or an evaluation: one HTML file that needs nothing else and runs nothing.

It opens from a disk, a mail or a phone without a network: pictures are data URIs, curves are inline SVG, and its own
content policy forbids scripts and anything from elsewhere. Names come from the outside and are escaped.
"""

import base64
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anet.files import atomic_write
from anet.frame import IGNORE
from anet.image import overlay
from anet.scoring.curves import curves, number
from anet.scoring.page import page, text

SIDE = 320  # longest side of a picture in the report
WORST, BEST = 75, 25  # pictures shown of a large set
BUDGET = 7_000_000  # characters of pictures: a report must pass through a mail

# Okabe and Ito's colours: told apart by colour-blind people too (https://jfly.uni-koeln.de/color/)
FOUND, MISSED, FALSE, MISTAKEN, IGNORED = (0, 158, 115), (213, 94, 0), (240, 228, 66), (86, 180, 233), (56, 64, 84)
LEGEND = (
    (FOUND, "found (true positive)"),
    (MISSED, "missed (false negative)"),
    (FALSE, "false alarm (false positive)"),
    (MISTAKEN, "found as another class"),
    (IGNORED, "not scored"),
)

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table of results: numbers stand right, floats with four digits, None and NaN as a dash; `note` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Tile:
    """One picture `(H, W, 3) uint8` with truth and prediction `(H, W) uint8` of class ids, IGNORE where not scored.

    `iou` is None or NaN where there was nothing to find and nothing was found.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    iou: float | None
    note: str = ""


def write_report(
    path: Path,
    title: str,
    facts: dict[str, str],
    history: list[dict],
    tables: list[Table],
    tiles: list[Tile],
    scored: int | None = None,
    kept: object = None,
) -> Path:
    """Write a self-contained HTML report, all or nothing, and give its path.

    `history` has a row per epoch, and `kept` is the one whose weights were (see `curves`); empty for an evaluation. The
    worst pictures come first; of many only the worst and the best are shown, and the report says of how many: of
    `scored`, when `tiles` is a selection already.
    Raises OutputError.
    """
    drawn = curves(history, kept)
    sections = [
        f"<h1>{text(title)}</h1>",
        facts_list(facts),
        f'<section><h2>Training</h2><div class="curves">{drawn}</div></section>' if drawn else "",
        *(table_section(table) for table in tables),
        _pictures(tiles, scored or len(tiles)),
    ]
    atomic_write(path, page(title, "\n".join(section for section in sections if section)))
    return Path(path)


def facts_list(facts: dict[str, str]) -> str:
    if not facts:
        return ""
    pairs = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>" for key, value in facts.items())
    return f'<dl class="facts">{pairs}</dl>'


def table_section(table: Table) -> str:
    columns = zip(
        table.head, itertools.zip_longest(*table.rows) if table.rows else [()] * len(table.head), strict=False
    )
    head = "".join(f'<th scope="col"{_right(all(map(_is_number, cells)))}>{text(name)}</th>' for name, cells in columns)
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>\n" for row in table.rows)
    note = f'<p class="note">{text(table.note)}</p>' if table.note else ""
    return (
        f'<section><h2>{text(table.title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}</tbody></table></div>{note}</section>"
    )


def _cell(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float | np.floating) and number(cell) is None):
        return '<td class="number">–</td>'
    if isinstance(cell, float | np.floating):
        return f'<td class="number">{cell:{".4f" if abs(cell) <= 1 else ".4g"}}</td>'
    return f"<td{_right(_is_number(cell))}>{text(cell)}</td>"


def _is_number(cell: Cell) -> bool:
    return cell is None or isinstance(cell, int | float | np.number)


def _right(yes: bool) -> str:
    return ' class="number"' if yes else ""


def _pictures(tiles: list[Tile], scored: int) -> str:
    """Show the worst pictures, then the best, until the cap or the budget of bytes is reached."""
    if not tiles:
        return ""
    ranked = sorted(tiles, key=lambda tile: (math.inf if (iou := number(tile.iou)) is None else iou, tile.name))
    few = scored <= WORST + BEST
    worst, best = (ranked, []) if few else (ranked[:WORST], ranked[-BEST:])
    seen: set[tuple[int, int, int]] = set()
    best_cards = _cards(best, BUDGET * len(best) // (len(worst) + len(best)), seen)
    worst_cards = _cards(worst, BUDGET - sum(map(len, best_cards)), seen)
    said = f"All {scored} pictures are shown, the worst first."
    if len(worst_cards) + len(best_cards) < scored:
        said = f"The {len(worst_cards)} worst of {scored} pictures are shown, the worst first"
        said += f", and the {len(best_cards)} best." if best_cards else "."
    parts = [
        f'<section><h2>Pictures</h2><p class="note">{said} Reduced to {SIDE} pixels at most; IoU is of full size.</p>'
    ]
    parts.append(f'{legend(seen)}<div class="cards">{"".join(worst_cards)}</div>')
    if best_cards:
        parts.append(f'<h3>The best</h3><div class="cards">{"".join(best_cards)}</div>')
    return "".join([*parts, "</section>"])


def legend(seen: set[tuple[int, int, int]], meanings: Sequence[tuple[tuple[int, int, int], str]] = LEGEND) -> str:
    """Give the colours of `judged` with their meaning, those of `seen` and the three that nearly every page has."""
    spots = "".join(
        f'<span><i style="background:rgb{colour}"></i>{name}</span>'
        for colour, name in meanings
        if colour in seen or colour in (FOUND, MISSED, FALSE)
    )
    return f'<p class="legend sticky">{spots}</p>'


def _cards(tiles: list[Tile], budget: int, seen: set[tuple[int, int, int]]) -> list[str]:
    cards: list[str] = []
    for tile in tiles:
        card = _card(tile, seen)
        budget -= len(card)
        if budget < 0:
            break
        cards.append(card)
    return cards


def _card(tile: Tile, seen: set[tuple[int, int, int]]) -> str:
    image = shrink_image(tile.image)
    truth, predicted = (shrink_mask(mask, image.shape[:2]) for mask in (tile.truth, tile.predicted))
    views = {"Picture": image, "Truth": overlay(image, truth), "Prediction": judged(image, truth, predicted, seen)}
    pictures = figures(views)
    iou = number(tile.iou)
    share = f'<i style="width:{100 * min(max(iou, 0), 1):.0f}%"></i>' if iou is not None else ""
    note = f'<p class="note">{text(tile.note)}</p>' if tile.note else ""
    return (
        f'<article class="card"><header><h4>{text(tile.name)}</h4><b>{"sound" if iou is None else f"IoU {iou:.3f}"}</b>'
        f'<label><input type="checkbox"> larger</label></header><div class="bar">{share}</div>'
        f'<div class="views">{pictures}</div>{note}</article>\n'
    )


def figures(views: dict[str, np.ndarray]) -> str:
    """Give pictures `(h, w, 3) uint8` side by side, each with its name below, as HTML."""
    return "".join(
        f'<figure><img src="{data_uri(view)}" alt="{name}" width="{view.shape[1]}" height="{view.shape[0]}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, view in views.items()
    )


def shrink_image(image: np.ndarray) -> np.ndarray:
    h, w = image.shape[:2]
    scale = SIDE / max(h, w)
    if scale >= 1:
        return image
    return cv2.resize(image, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)


def shrink_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Reduce a mask so that even a line of one pixel stays: a defect wins over what surrounds it."""
    if mask.shape == shape:
        return mask
    reach = np.ones((math.ceil(mask.shape[0] / shape[0]), math.ceil(mask.shape[1] / shape[1])), np.uint8)
    small = np.zeros(shape, np.uint8)
    for value in sorted(set(np.unique(mask).tolist()) - {0}, reverse=True):  # IGNORE first: classes lie above it
        layer = cv2.dilate((mask == value).astype(np.uint8), reach)
        small[cv2.resize(layer, shape[::-1], interpolation=cv2.INTER_NEAREST) > 0] = value
    return small


def judged(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, seen: set[tuple[int, int, int]]) -> np.ndarray:
    """Colour what was found, missed and wrongly reported over the faded picture; note the colours used in `seen`."""
    view = image.astype(np.float32) * 0.55 + 40
    ignored = truth == IGNORE
    cases = (
        (FOUND, ~ignored & (truth > 0) & (predicted == truth)),
        (MISSED, ~ignored & (truth > 0) & (predicted == 0)),
        (FALSE, ~ignored & (truth == 0) & (predicted > 0)),
        (MISTAKEN, ~ignored & (truth > 0) & (predicted > 0) & (predicted != truth)),
        (IGNORED, ignored),
    )
    for colour, where in cases:
        if where.any():
            seen.add(colour)
            view[where] = 0.15 * view[where] + 0.85 * np.array(colour, np.float32)
    return view.round().astype(np.uint8)


def data_uri(image: np.ndarray) -> str:
    """Give an RGB picture as a JPEG data URI, with full colour resolution: thin coloured lines stay sharp."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 82, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
