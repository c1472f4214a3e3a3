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


def overlay(image: np.ndarray, mask: np.ndarray, alpha: float = 0.45) -> np.ndarray:
    """Lay the class colours of a mask over its picture, with a thin outline of full colour: `(H, W, 3) uint8`.

    `image` is `(H, W, 3) uint8` RGB, `mask` `(H, W) uint8` class ids; 0 and 255 (ignored) stay as they are. Classes
    beyond the palette start again at its first colour. Neither input is changed; ValueError when their sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"mask is {mask.shape}, its picture {image.shape[:2]}")
    ids = np.arange(256)
    colours = np.array(PALETTE, np.uint8)[np.where((ids == 0) | (ids == 255), 0, (ids - 1) % (len(PALETTE) - 1) + 1)]
    labelled = (mask != 0) & (mask != 255)
    result = image.copy()
    if not labelled.any():
        return result
    colour = colours[mask[labelled]]
    result[labelled] = np.rint(image[labelled] * (1.0 - alpha) + colour * alpha).astype(np.uint8)
    shown = np.where(labelled, mask, 0).astype(np.uint8)
    inner = cv2.erode(shown, np.ones((3, 3), np.uint8), borderValue=255)  # an outline at the border would hide it
    outline = labelled & ((inner != shown) | (cv2.dilate(shown, np.ones((3, 3), np.uint8)) != shown))
    result[outline] = colours[mask[outline]]
    return result
