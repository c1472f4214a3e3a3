"""What the stored samples of a picture mean as RGB, and as class ids; in bands, so that nothing is held three times."""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from anet.image.formats import Header, Refused

if TYPE_CHECKING:
    from PIL.Image import Image

BAND = 2**22  # pixels converted at a time


def _bands(picture: "Image") -> Iterator[tuple[slice, "Image"]]:
    rows = max(1, BAND // picture.width)
    if rows >= picture.height:
        yield slice(0, picture.height), picture  # not cut out: that copies
        return
    for y in range(0, picture.height, rows):
        stop = min(y + rows, picture.height)
        yield slice(y, stop), picture.crop((0, y, picture.width, stop))


def fingerprint(picture: "Image") -> list[int]:
    """Give a checksum of the pixels, band by band."""
    return [zlib.crc32(band.tobytes()) for _, band in _bands(picture)]


def rgb(header: Header, picture: "Image") -> np.ndarray:
    """Give `(H, W, 3) uint8` from any mode that pictures come in. Raises Refused."""
    if picture.mode == "LAB":
        raise Refused("LAB colours are not read: save it as RGB")
    if picture.mode == "I":
        raise Refused("32-bit or signed whole numbers are no grey values: save it with 8 or 16 bits")
    result = np.empty((header.h, header.w, 3), np.uint8)
    deep = _deep(header) if header.bits == 16 and header.samples > 1 else None
    most = 0  # of 16-bit samples
    for rows, band in _bands(picture):
        if deep is not None:
            result[rows] = _scaled(deep[rows], 65_535)
            most = max(most, int(deep[rows].max()))
        elif picture.mode.startswith("I;16"):
            values = np.asarray(band)
            result[rows] = _scaled(values, 4095 if header.bits == 12 else 65_535)[..., None]
            most = max(most, int(values.max()) if header.bits == 16 else 0)
        elif picture.mode == "F":
            result[rows] = _from_float(np.asarray(band))[..., None]
        elif picture.mode in ("1", "L", "LA", "La"):
            grey = band.convert("LA") if picture.mode == "La" else band
            grey = np.asarray(grey if grey.mode == "L" else grey.convert("L"))
            cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB, dst=result[rows])
        else:
            result[rows] = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    if 0 < most < 4096:  # what is meant is 10 or 12 bits: read as 16, it would pass as a nearly black, good part
        raise Refused(
            f"its 16-bit values end at {most}, as if they were {10 if most < 1024 else 12}-bit data: read so it would "
            "be black; save it over all 16 bits (12-bit data times 16), or with 8"
        )
    return result


def stored(header: Header, picture: "Image") -> np.ndarray:
    """Give the stored values of a mask, alpha dropped: `(H, W)` or `(H, W, 3)`."""
    if header.bits == 16 and header.samples > 1:
        return _deep(header)
    values = np.array(picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture)
    if picture.mode == "1":
        values = values.astype(np.uint8) * 255
    elif picture.mode == "L" and header.bits in (2, 4):  # the decoder stretched them to 0..255
        values //= 255 // (2**header.bits - 1)
    elif picture.mode in ("LA", "La", "PA"):
        values = values[..., 0]
    elif picture.mode == "RGBA":
        values = values[..., :3]
    return values


def _deep(header: Header) -> np.ndarray:
    """Give 16-bit colour as stored, `(H, W, 3) uint16`: Pillow, which proved the file complete, keeps only 8 bits."""
    content = np.frombuffer(b"".join(header.pieces), np.uint8)
    values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None or values.shape[:2] != (header.h, header.w) or values.dtype != np.uint16 or values.ndim != 3:
        raise Refused("16-bit colour of this kind is not read: save it as 16-bit PNG")
    return values[..., 2::-1]


def _scaled(values: np.ndarray, white: int) -> np.ndarray:
    return ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)


def _from_float(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise Refused("it holds NaN or infinity")
    if values.min() < 0 or values.max() > 1:
        found = f"{values.min():g} to {values.max():g}"
        raise Refused(f"its float values are {found}, not 0 to 1: divide them by their full scale, or save 16 bits")
    return np.rint(values * 255).astype(np.uint8)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror by EXIF orientation 1 to 8."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    down, across = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(array[::down, ::across])
