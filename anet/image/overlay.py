"""A mask laid over its picture, for people to look at."""

import cv2
import numpy as np

# Class k is drawn in PALETTE[k], background not at all. The colour-blind can tell them apart (Okabe and Ito, 2008).
PALETTE = (
    (0, 0, 0),
    (230, 60, 40),
    (0, 140, 220),
    (240, 190, 20),
    (0, 170, 110),
    (200, 100, 190),
    (240, 130, 0),
    (90, 200, 240),
)
_IDS = np.arange(256)
_IDS = np.where((_IDS == 0) | (_IDS == 255), 0, (_IDS - 1) % (len(PALETTE) - 1) + 1)  # class id -> place in PALETTE


def overlay(image: np.ndarray, mask: np.ndarray, alpha: float = 0.45) -> np.ndarray:
    """Lay the class colours of a mask over its picture, with a thin outline of full colour: `(H, W, 3) uint8`.

    `image` is `(H, W, 3) uint8` RGB, `mask` `(H, W) uint8` class ids; 0 and 255 (ignored) stay as they are. Classes
    beyond the palette start again at its first colour. Neither input is changed; ValueError when their sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"mask is {mask.shape}, its picture {image.shape[:2]}")
    result = image.copy()
    top, bottom, left, right = _box((mask != 0) & (mask != 255))
    if top == bottom:
        return result
    # One pixel more on each side, where there is one: the outline looks that far.
    here = slice(max(0, top - 1), bottom + 1), slice(max(0, left - 1), right + 1)
    mask, part = mask[here], result[here]
    labelled = (mask != 0) & (mask != 255)
    colours = np.array(PALETTE, np.uint8)[_IDS]
    part[labelled] = np.rint(part[labelled] * (1.0 - alpha) + colours[mask[labelled]] * alpha).astype(np.uint8)
    shown = np.where(labelled, mask, 0).astype(np.uint8)
    inner = cv2.erode(shown, np.ones((3, 3), np.uint8), borderValue=255)  # an outline at the border would hide it
    outline = labelled & ((inner != shown) | (cv2.dilate(shown, np.ones((3, 3), np.uint8)) != shown))
    part[outline] = colours[mask[outline]]
    return result


def _box(marked: np.ndarray) -> tuple[int, int, int, int]:
    """Give top, bottom, left and right of what is marked, the second of each behind it; nothing: 0, 0, 0, 0."""
    rows, columns = (np.flatnonzero(marked.any(axis)) for axis in (1, 0))
    return (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if len(rows) else (0, 0, 0, 0)
