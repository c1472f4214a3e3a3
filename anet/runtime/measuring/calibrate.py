"""How large a pixel is: given as numbers, or measured once from a picture of a checkerboard."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anet.errors import ImageError, OptionError
from anet.files import printable, read_plain
from anet.image import read_image

LARGEST_MM = 1000.0  # of a pixel
STRAIGHT = 0.01  # tilt, and difference between the axes, that is not worth a word
CLOSE_PX = 0.5  # residual that is not worth a word


@dataclass(frozen=True)
class Calibration:
    """What a picture of a checkerboard says. It holds for pictures of its size, taken from where it was taken."""

    mm_per_px: tuple[float, float]  # y, x
    residual_px: float  # root mean square over the corners, from straight and even lines
    tilt: float  # by how much the scale changes over the board, or its angles differ from right ones: 0 is none
    corners: tuple[int, int]  # inner ones, across and down
    square_mm: float
    h: int
    w: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as `calibration.json` holds them."""
        return asdict(self)


def scale_of(mm_per_px: Any) -> tuple[float, float] | None:
    """Give mm per pixel as (y, x), from one number, two (y, x), or None. Raises OptionError for all else."""
    if mm_per_px is None:
        return None
    both = mm_per_px if isinstance(mm_per_px, (tuple, list)) else (mm_per_px, mm_per_px)
    fine = [isinstance(one, (int, float, np.number)) and not isinstance(one, bool) for one in both]
    if len(both) != 2 or not all(fine) or not all(0 < one <= LARGEST_MM for one in both):
        raise OptionError(
            f"mm_per_px is {mm_per_px!r:.60}: a number above 0 and up to {LARGEST_MM:g}, or two (y, x), would work"
        )
    return float(both[0]), float(both[1])


def read_scale(text: str) -> tuple[tuple[float, float], tuple[int, int] | None, tuple[str, ...]]:
    """Read `0.05`, `0.05,0.048` (y, x) or a file of `anet calibrate`: mm per pixel (y, x), picture (h, w), warnings.

    Numbers come with no picture. What can be read as numbers is no file, whatever the folder holds. The warnings, a
    line each, are those that `anet calibrate` gave. Raises OptionError.
    """
    size, warnings = None, ()
    try:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) == 2 and not 0.5 <= numbers[0] / (numbers[1] or 1) <= 2:
            told = f"a pixel is {numbers[0]:g} mm high and {numbers[1]:g} mm wide"
            warnings = (f"{told}; if that is a decimal comma, write {printable(text.replace(',', '.'))}",)
    except ValueError:
        numbers, size, warnings = _from_file(Path(text))
    scale = scale_of(numbers * 2 if len(numbers) == 1 else numbers)
    assert scale is not None
    return scale, size, warnings


def _from_file(path: Path) -> tuple[list[Any], tuple[int, int] | None, tuple[str, ...]]:
    name = printable(path)
    if not os.path.isfile(path):
        raise OptionError(f"mm per pixel: {name} is neither a number, nor two (y,x), nor a file of `anet calibrate`")
    try:
        facts = json.loads(read_plain(path, 2**20, OptionError))
        found, size, warnings = facts["mm_per_px"], (facts.get("h"), facts.get("w")), facts.get("warnings", [])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise OptionError(f"{name} is no calibration file: `anet calibrate` writes one") from error
    if not isinstance(found, list) or len(found) != 2:
        raise OptionError(f"{name} is no calibration file: its mm_per_px must be two numbers, y and x")
    if size != (None, None) and not all(type(side) is int and side > 0 for side in size):
        raise OptionError(f"{name} is no calibration file: its h and w must be the picture's, in pixels")
    if not isinstance(warnings, list) or not all(isinstance(one, str) for one in warnings):
        raise OptionError(f"{name} is no calibration file: its warnings must be texts")
    said = tuple(f"{name}: {printable(one)}" for one in warnings)
    return found, None if size == (None, None) else size, said


def read_squares(text: str) -> tuple[int, int]:
    """Read `9x6` as (9, 6). Raises OptionError."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and 4 <= int(part[:4]) <= 100 for part in parts):
        raise OptionError(f"squares is {text!r:.40}: two whole numbers from 4 to 100, such as 9x6, would work")
    return int(parts[0]), int(parts[1])


def calibrate(picture: Path | str | np.ndarray, squares: tuple[int, int], square_mm: float) -> Calibration:
    """Measure mm per pixel along both axes from a checkerboard of `squares` across and down, each `square_mm` wide.

    A picture is a file or `(H, W, 3) uint8` RGB. `squares` may be counted as inner corners, too: a square is as wide.
    Raises ImageError when there is no board to be found, OptionError.
    """
    if not 0 < square_mm <= 1e6:
        raise OptionError(f"square_mm is {square_mm}: the width of a square in mm, above 0, would work")
    image = picture if isinstance(picture, np.ndarray) else read_image(picture)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    flags = cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_NORMALIZE_IMAGE
    for less in (1, 0):
        across, down = squares[0] - less, squares[1] - less
        seen, found = cv2.findChessboardCornersSB(grey, (across, down), flags=flags)
        if seen:
            h, w = grey.shape
            return _fitted(found.reshape(down, across, 2).astype(np.float64), square_mm, h, w)
    name = "this picture" if isinstance(picture, np.ndarray) else printable(picture)
    raise ImageError(
        f"no checkerboard of {squares[0]}x{squares[1]} squares found in {name}: all of it must be seen, sharp and flat"
    )


def _fitted(found: np.ndarray, square_mm: float, h: int, w: int) -> Calibration:
    """Fit even, straight axes to corners, `(down, across, 2)` x, y in pixels."""
    down, across = found.shape[:2]
    board = np.stack(np.meshgrid(np.arange(across), np.arange(down)), axis=-1).reshape(-1, 2) * square_mm
    seen = found.reshape(-1, 2)
    ones = np.ones((len(seen), 1))
    to_px = np.linalg.lstsq(np.hstack([board, ones]), seen, rcond=None)[0]
    off = seen - np.hstack([board, ones]) @ to_px
    x, y = np.linalg.inv(to_px[:2])  # mm on the board that one pixel to the right, and one down, are
    mm_x, mm_y = float(np.hypot(*x)), float(np.hypot(*y))
    rows = np.hypot(*np.diff(found[[0, -1]], axis=1).T).sum(axis=0)  # lengths of the first and the last
    columns = np.hypot(*np.diff(found[:, [0, -1]], axis=0).T).sum(axis=1)
    tilt = max(rows.max() / rows.min() - 1, columns.max() / columns.min() - 1, abs(float(x @ y)) / (mm_x * mm_y))
    residual = float(np.sqrt((off**2).sum(axis=1).mean()))
    warnings = []
    if tilt > STRAIGHT:
        warnings.append(f"the board is tilted, by {tilt:.1%} of scale: lengths are as wrong; look at it straight")
    if max(mm_x, mm_y) / min(mm_x, mm_y) - 1 > STRAIGHT:
        warnings.append(f"a pixel is {mm_y:.4g} mm high and {mm_x:.4g} mm wide: unless the camera scans lines, a tilt")
    if residual > CLOSE_PX:
        warnings.append(f"corners lie {residual:.2f} px from straight lines: the lens bends them, or a tilt does")
    return Calibration((mm_y, mm_x), residual, float(tilt), (across, down), square_mm, h, w, tuple(warnings))


def print_calibration(found: Calibration, console: Any) -> None:
    """Print a calibration in a line, and its warnings, on a rich console."""
    y, x = found.mm_per_px
    across, down = found.corners
    console.print(
        f"a pixel is {y:.6g} mm high and {x:.6g} mm wide; {across}x{down} corners,"
        f" {found.residual_px:.2f} px off on average, tilt {found.tilt:.2%}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for warning in found.warnings:
        console.print(f"warning: {warning}", highlight=False, soft_wrap=True)
