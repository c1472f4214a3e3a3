"""Pictures and masks: reading, writing, listing. The only file that knows Pillow."""

import io
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from anet.errors import ImageError
from anet.files import atomic_write, printable
from anet.overlay import PALETTE, overlay

__all__ = [
    "LIMITS",
    "PALETTE",
    "Limits",
    "decode_image",
    "image_size",
    "list_images",
    "overlay",
    "png_bytes",
    "read_image",
    "read_mask",
    "write_png",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


@dataclass(frozen=True)
class Limits:
    """What a picture file may ask of us; checked from its header before anything is decoded."""

    pixels: int = 100_000_000
    side: int = 65_535
    bytes: int = 256 * 2**20
    jpeg_scans: int = 100
    seconds: float = 5.0


LIMITS = Limits()


def read_image(path: Path | str, limits: Limits = LIMITS) -> np.ndarray:
    """Read a picture file: `(H, W, 3) uint8` RGB, upright. Raises ImageError."""
    return decode_image(_content(path, limits), str(path), limits)


def decode_image(data: bytes, name: str = "picture", limits: Limits = LIMITS) -> np.ndarray:
    """Decode the content of a picture file: as read_image. Raises ImageError naming `name`."""
    with _errors(name):
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I;16"):
                grey = np.rint(np.asarray(upright) / 257).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(upright.convert("RGB"))


def read_mask(path: Path | str, limits: Limits = LIMITS) -> np.ndarray:
    """Read a mask's stored values: `(H, W)` uint8 or uint16; palette indices, not colours; 1-bit as 0 and 255."""
    with _errors(str(path)), Image.open(io.BytesIO(_content(path, limits)), formats=FORMATS) as opened:
        upright = ImageOps.exif_transpose(opened)
        values = np.array(upright.convert("L") if upright.mode == "1" else upright)
        if values.ndim == 3:
            if (values[..., :3] != values[..., :1]).any():
                raise ImageError(
                    f"{printable(path)}: a colour picture is no mask: save class ids as grey or palette PNG"
                )
            values = values[..., 0]
        return np.ascontiguousarray(values)


def image_size(path: Path | str, limits: Limits = LIMITS) -> tuple[int, int]:
    """Give (h, w) from the header, upright. Raises ImageError."""
    with _errors(str(path)), Image.open(io.BytesIO(_content(path, limits)), formats=FORMATS) as opened:
        turned = opened.getexif().get(274, 1) >= 5
        return (opened.width, opened.height) if turned else (opened.height, opened.width)


def png_bytes(array: np.ndarray) -> bytes:
    """Give a grey `(H, W)` or RGB `(H, W, 3)` uint8 array as the content of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(stream, "PNG")
    return stream.getvalue()


def write_png(path: Path | str, array: np.ndarray) -> None:
    """Write a grey or RGB uint8 array as PNG, all or nothing. Raises OutputError."""
    atomic_write(Path(path), png_bytes(array))


def list_images(paths: Iterable[Path | str]) -> Iterator[Path]:
    """Give pictures: files as they are, folders walked in sorted order by suffix. Raises ImageError."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from _walk(path, ())
        else:
            yield path


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    try:
        state = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ImageError(f"cannot list {printable(folder)}: {error.strerror}") from error
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*above, here))
        elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
            yield Path(entry.path)


def _content(path: Path | str, limits: Limits) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as stream:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise ImageError(f"{printable(path)} is not a regular file")
            if state.st_size > limits.bytes:
                raise ImageError(f"{printable(path)} has {state.st_size} bytes: at most {limits.bytes} are read")
            return stream.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {printable(path)}: {getattr(error, 'strerror', None) or error}") from error


class _errors:
    """Turn whatever a decoder raises into one line."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Exception) and not isinstance(error, ImageError):
            raise ImageError(f"cannot read {printable(self.name)}: {' '.join(str(error).split())}") from error
