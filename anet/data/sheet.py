"""A sheet of pictures beside their labels, to see at a glance whether a data set is what it should be."""

import random

import cv2
import numpy as np

from anet.data.dataset import Dataset, Sample
from anet.errors import OptionError
from anet.files import printable
from anet.frame import IGNORE
from anet.image import overlay

GAP_PX, SEAM_PX, CAPTION_PX, LEGEND_PX = 12, 2, 20, 28
PAPER, INK, PALE = (250, 250, 250), (30, 30, 30), (226, 226, 226)
FONT, TEXT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
SOUND_SHARE = 4  # at most every fourth picture of a sheet is sound, if there are enough others
Tile = tuple[str, np.ndarray, np.ndarray]


def contact_sheet(tiles: list[Tile], class_names: tuple[str, ...], columns: int = 3, tile: int = 224) -> np.ndarray:
    """Lay out (title, picture `(H, W, 3) uint8`, mask `(H, W) uint8`) as pairs: picture, and picture under its mask.

    Gives `(H, W, 3) uint8` RGB: a legend of `class_names` (background first), then `columns` pairs a row, each side
    scaled into `tile` px with the title below; titles that do not fit lose their middle. Raises OptionError.
    """
    if columns < 1 or tile < 32:
        raise OptionError(f"a sheet needs 1 column and tiles of 32 px at least: {columns} and {tile} given")
    cells = [_cell(*one, tile) for one in tiles] or [np.full((tile, 2 * tile + SEAM_PX, 3), PALE, np.uint8)]
    columns = min(columns, len(cells))
    ch, cw = cells[0].shape[:2]
    width = GAP_PX + columns * (cw + GAP_PX)
    head = _legend(class_names, any((mask == IGNORE).any() for _, _, mask in tiles), width)
    rows = -(-len(cells) // columns)
    sheet = np.full((len(head) + rows * (ch + GAP_PX), width, 3), PAPER, np.uint8)
    sheet[: len(head)] = head
    for i, cell in enumerate(cells):
        y, x = len(head) + i // columns * (ch + GAP_PX), GAP_PX + i % columns * (cw + GAP_PX)
        sheet[y : y + ch, x : x + cw] = cell
    return sheet


def dataset_sheet(dataset: Dataset, limit: int = 24, seed: int = 0, columns: int = 3, tile: int = 224) -> np.ndarray:
    """Draw the contact sheet of up to `limit` pictures of a data set, drawn by `seed`, labelled ones preferred.

    Raises ImageError or DataError for a picture or mask that cannot be read, OptionError.
    """
    if limit < 1:
        raise OptionError(f"a sheet needs at least 1 picture: {limit} given")
    order = list(dataset.samples)
    random.Random(seed).shuffle(order)
    labelled: list[tuple[Sample, np.ndarray, np.ndarray]] = []
    sound: list[tuple[Sample, np.ndarray, np.ndarray]] = []
    for sample in order[: 4 * limit]:  # not all: a set may have 20,000 masks
        image, mask = sample.read(dataset.classes)
        (labelled if mask.any() else sound).append((sample, _shrink(image, tile), _shrink_mask(mask, tile)))
        if len(labelled) >= limit:
            break
    spare = max(limit // SOUND_SHARE, limit - len(labelled))
    sound = sound[:spare]
    chosen = sorted(labelled[: limit - len(sound)] + sound, key=lambda one: one[0].name)
    return contact_sheet([(s.name, image, mask) for s, image, mask in chosen], dataset.class_names, columns, tile)


def _cell(title: str, image: np.ndarray, mask: np.ndarray, tile: int) -> np.ndarray:
    small, ids = _shrink(image, tile), _shrink_mask(mask, tile)
    cell = np.full((tile + CAPTION_PX, 2 * tile + SEAM_PX, 3), PAPER, np.uint8)
    for x, half in ((0, small), (tile + SEAM_PX, overlay(small, ids))):
        cell[:tile, x : x + tile] = PALE
        h, w = half.shape[:2]
        top, left = (tile - h) // 2, x + (tile - w) // 2
        cell[top : top + h, left : left + w] = half
    _write(cell, _shorten(_ascii(title), 2 * tile - 4), 2, tile + CAPTION_PX - 6)
    return cell


def _legend(class_names: tuple[str, ...], ignored: bool, width: int) -> np.ndarray:
    """Draw a line or more of coloured squares with their class names."""
    entries = [(_ascii(name), i) for i, name in enumerate(class_names) if i] + (
        [("ignored", IGNORE)] if ignored else []
    )
    spots, x, y = [], GAP_PX, 0
    for name, value in entries:
        name = _shorten(name, width - 4 * GAP_PX - 14)
        room = 14 + 6 + _width(name) + 2 * GAP_PX
        if x > GAP_PX and x + room > width:
            x, y = GAP_PX, y + LEGEND_PX - 6
        spots.append((name, value, x, y))
        x += room
    head = np.full((y + LEGEND_PX, width, 3), PAPER, np.uint8)
    for name, value, left, top in spots:
        # The colour comes from `overlay` itself: a legend with a table of its own would one day lie.
        head[top + 7 : top + 21, left : left + 14] = _colour(value)
        _write(head, name, left + 20, top + 18)
    return head


def _colour(value: int) -> np.ndarray:
    patch = overlay(np.zeros((9, 9, 3), np.uint8), np.full((9, 9), value, np.uint8), alpha=1.0)
    return patch[4, 4]


def _shrink(image: np.ndarray, tile: int) -> np.ndarray:
    h, w = _inner(image.shape[0], image.shape[1], tile)
    way = cv2.INTER_AREA if h < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (w, h), interpolation=way)


def _shrink_mask(mask: np.ndarray, tile: int) -> np.ndarray:
    """Scale a mask so that no class vanishes: a hair crack of a 12-megapixel picture must show on a thumbnail."""
    h, w = _inner(mask.shape[0], mask.shape[1], tile)
    small = cv2.resize(mask, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
    if h < mask.shape[0]:
        for value in np.unique(mask)[::-1]:
            share = cv2.resize((mask == value).astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
            if value:
                small[(share > 0.25) | ((share > 0) & (small == 0))] = value
    return small


def _inner(h: int, w: int, tile: int) -> tuple[int, int]:
    scale = tile / max(h, w)
    return max(1, round(h * scale)), max(1, round(w * scale))


def _ascii(text: str) -> str:
    return printable(text).encode("ascii", "backslashreplace").decode()  # OpenCV's font has no other letters


def _width(text: str) -> int:
    return cv2.getTextSize(text, FONT, TEXT_SIZE, 1)[0][0]


def _shorten(text: str, width: int) -> str:
    keep = len(text)
    short = text
    while keep > 2 and _width(short) > width:
        keep -= 1
        short = f"{text[: (keep + 1) // 2]}...{text[len(text) - keep // 2 :]}"
    return short


def _write(canvas: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), FONT, TEXT_SIZE, INK, 1, cv2.LINE_AA)
