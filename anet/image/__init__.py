"""Pictures and masks: reading, writing, listing. The only file that knows Pillow.

A picture is `(H, W, 3) uint8` RGB everywhere, upright by its EXIF orientation, and read only when its file is complete.

- Formats: PNG, JPEG, BMP, TIFF, WebP, told by content. Of several pages or frames the first is read. By name it is told
  only which files of a folder are read, see `list_images`.
- Grey is repeated to three channels; a palette gives its colours; 1-bit gives 0 and 255; alpha is dropped, the colour
  channels stay as stored; CMYK and YCCK are converted without a profile (Adobe's inverted values understood); colour
  profiles are not applied; LAB is refused.
- 16-bit values v become round(v / 257), 12-bit ones round(v * 255 / 4095); never stretched to what a picture holds.
  16-bit files that end below 4096 are refused: 12-bit data, which would be black.
- 32-bit float is taken as 0..1; NaN, infinity and values outside are refused. So are 32-bit and signed whole numbers,
  except in masks.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from anet.errors import ImageError
from anet.files import BESIDE, PICTURES, hidden, printable, replacing
from anet.image.formats import LIMITS, Clock, Header, Limits, Refused, read_header
from anet.image.overlay import PALETTE, overlay
from anet.image.pixels import fingerprint, rgb, stored, upright
from anet.image.png import png_pieces
from anet.image.stream import Joined

__all__ = [
    "LIMITS",
    "PALETTE",
    "Limits",
    "decode_image",
    "decode_mask",
    "image_size",
    "list_images",
    "overlay",
    "png_bytes",
    "read_image",
    "read_mask",
    "write_png",
]


class _Tiff(TiffImagePlugin.TiffImageFile):
    def load_prepare(self) -> None:
        if self._im is None:  # Pillow's own limit warns below ours; ours was checked already
            self.im = Image.core.new(self.mode, self._tile_size)
        ImageFile.ImageFile.load_prepare(self)


PLUGINS = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": _Tiff,
    "WEBP": WebPImagePlugin.WebPImageFile,
}


def _hush_libtiff() -> None:
    """Stop libtiff printing to stderr about damaged files: the error is raised, and one line is what a user gets."""
    with contextlib.suppress(OSError, AttributeError):  # no /proc, no libtiff of its own: then it prints
        mapped = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        for library in {line.split(maxsplit=5)[-1] for line in mapped if "/libtiff" in line}:
            ctypes.CDLL(library).TIFFSetErrorHandler(None)


_hush_libtiff()


def read_image(path: Path | str, limits: Limits = LIMITS) -> np.ndarray:
    """Read a picture file: `(H, W, 3) uint8` RGB, upright.

    Raises ImageError with one line when it cannot be read: no file, no regular file, another format, beyond `limits`,
    damaged, or cut off. Half a picture is never given.
    """
    return decode_image(_content(path, limits), str(path), limits)


def decode_image(data: bytes, name: str = "picture", limits: Limits = LIMITS) -> np.ndarray:
    """Decode the content of a picture file: `(H, W, 3) uint8` RGB, upright. Raises ImageError naming `name`."""
    with _named(name):
        header, picture = _decode(data, limits)
        return upright(rgb(header, picture), header.orientation)


def read_mask(path: Path | str, limits: Limits = LIMITS) -> np.ndarray:
    """Read a mask's stored values: `(H, W)`, uint8 or, from 16 and 32 bits, uint16.

    A palette gives its indices, not its colours; grey its values (2- and 4-bit ones as stored, 1-bit as 0 and 255);
    equal colour channels count as grey; alpha is dropped. Raises ImageError as read_image, and for other colours.
    """
    return decode_mask(_content(path, limits), str(path), limits)


def decode_mask(data: bytes, name: str = "mask", limits: Limits = LIMITS) -> np.ndarray:
    """Decode the content of a mask file, as read_mask. Raises ImageError naming `name`."""
    with _named(name):
        header, picture = _decode(data, limits)
        values = stored(header, picture)
        if values.ndim == 3:
            if (values != values[..., :1]).any():
                raise Refused("it is a colour picture, not a mask: save class ids as a grey or palette PNG")
            values = values[..., 0]
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65_535:
            raise Refused("its values are no class ids: save whole numbers from 0 to 65535")
        values = values.astype(np.uint8 if values.dtype == np.uint8 else np.uint16)
        return upright(values, header.orientation)


def image_size(path: Path | str, limits: Limits = LIMITS) -> tuple[int, int]:
    """Give (h, w) of a picture, upright, without decoding its pixels. Raises ImageError as read_image."""
    with _named(str(path)):
        header = read_header(_content(path, limits), limits, Clock(limits.seconds))
        return (header.w, header.h) if header.orientation >= 5 else (header.h, header.w)


def png_bytes(array: np.ndarray) -> bytes:
    """Give a grey `(H, W)` or RGB `(H, W, 3)` uint8 array as the content of a PNG file."""
    return b"".join(png_pieces(array))


def write_png(path: Path | str, array: np.ndarray, flush: bool = True) -> None:
    """Write a grey or RGB uint8 array as PNG, all or nothing; see `replacing`. Raises OutputError."""
    with replacing(path, flush) as stream:
        stream.writelines(png_pieces(array))


def list_images(paths: Iterable[Path | str], passed: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Give pictures: files as they are given, folders with all below them, sorted, by suffix.

    In folders only regular files count, and links that lead nowhere: reading one says so. Nothing is opened, so FIFOs
    and devices cannot block. Links are followed, but a folder is not entered again below itself. `passed` is called
    with the ending, lower case, of each file that a folder holds and PICTURES does not: it may be a picture all the
    same. Those of BESIDE are none. What is hidden is not looked at; of pictures among it, "hidden" and the ending
    are told. Raises ImageError naming a path that is missing or cannot be listed.
    """
    for path in map(Path, paths):
        try:
            state = os.stat(path)
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot read {printable(path)}: {_reason(error)}") from error
        if stat.S_ISDIR(state.st_mode):
            yield from _walk(path, (), passed)
        else:
            yield path


def _walk(folder: Path, above: tuple[tuple[int, int], ...], passed: Callable[[str], None] | None) -> Iterator[Path]:
    try:
        state = os.stat(folder)
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise ImageError(f"cannot list {printable(folder)}: {_reason(error)}") from error
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    for entry in entries:
        ending = os.path.splitext(entry.name)[1].lower()
        if hidden(entry.name):
            if passed and ending in PICTURES:
                passed(f"hidden {ending}")
            continue
        nowhere = entry.is_symlink() and not os.path.exists(entry.path)  # left out, its part would have no verdict
        try:
            if not nowhere and entry.is_dir():
                yield from _walk(Path(entry.path), (*above, here), passed)
            elif ending in PICTURES and (nowhere or entry.is_file()):
                yield Path(entry.path)
            elif passed and entry.is_file() and ending not in BESIDE:
                passed(ending)
        except OSError:
            continue


def _content(path: Path | str, limits: Limits) -> bytes:
    """Read a whole regular file. Raises ImageError."""
    try:
        # A FIFO without a writer would block an ordinary open; O_NOATIME is not ours to ask for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                raise ImageError(f"cannot read {printable(path)}: it is no regular file")
            if state.st_size > limits.bytes:
                size = f"it has {state.st_size:,} bytes: {limits.bytes:,} at most are read"
                raise ImageError(f"cannot read {printable(path)}: {size}")
            content, now = stream.read(state.st_size + 1), os.fstat(handle)  # room is made for all that is asked for
            if (state.st_size, state.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                raise ImageError(f"cannot read {printable(path)}: it was written while it was read")
            return content
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {printable(path)}: {_reason(error)}") from error


def _decode(data: bytes, limits: Limits) -> tuple[Header, Image.Image]:
    """Give the header and the whole decoded picture. Raises Refused, or whatever the decoder raises."""
    clock = Clock(limits.seconds)
    header = read_header(data, limits, clock)
    if header.proof:
        expected = fingerprint(_opened(header, header.proof, clock))
        picture = _opened(header, header.pieces, clock)
        if fingerprint(picture) != expected:
            raise Refused("it is cut off: compressed data is missing before the end of the JPEG")
        return header, picture
    if header.rows:
        mode = "L" if header.samples == 1 else "RGB"
        return header, Image.frombytes(mode, (header.w, header.h), header.rows, "zip", mode)
    return header, _opened(header, header.pieces, clock)


def _opened(header: Header, pieces: Sequence[bytes | memoryview], clock: Clock) -> Image.Image:
    picture = PLUGINS[header.format](Joined(pieces, clock))
    if picture.size != (header.w, header.h):
        raise Refused(f"it is damaged: {header.w}x{header.h} pixels or {picture.width}x{picture.height}?")
    picture.load()
    clock.check()
    return picture


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Make one line naming the file of whatever goes wrong inside: a decoder may raise anything."""
    try:
        yield
    except ImageError:
        raise
    except Refused as error:
        raise ImageError(f"cannot read {printable(name)}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"cannot read {printable(name)}: not enough memory for it") from error
    except Exception as error:
        raise ImageError(
            f"cannot read {printable(name)}: it is damaged or of a rare kind ({_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(printable(text).split())[:200]
