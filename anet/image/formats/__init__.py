"""Tell what a picture file is from its first bytes, and prove that it is complete and within limits, before decoding.

One module a format; each has `read(data, limits, clock) -> Header`. Pure Python: no decoder is touched here.
"""

from anet.image.formats import bmp, jpeg, png, tiff, webp
from anet.image.formats.header import LIMITS, Clock, Header, Limits, Refused

__all__ = ["LIMITS", "Clock", "Header", "Limits", "Refused", "read_header"]

READERS = (
    (b"\x89PNG\r\n\x1a\n", png.read),
    (b"\xff\xd8\xff", jpeg.read),
    (b"BM", bmp.read),
    (b"II*\0", tiff.read),
    (b"MM\0*", tiff.read),
    (b"II+\0", tiff.read),
    (b"MM\0+", tiff.read),
)
# Only to say what was found; none of these is ever parsed.
FOREIGN = {
    b"GIF8": "a GIF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "a PDF",
    b"<svg": "SVG",
    b"<?xml": "XML",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"\0\0\1\0": "an icon",
    b"#?": "Radiance HDR",
    b"SIMPLE": "FITS",
    b"8BPS": "Photoshop",
    b"PK\3\4": "an archive",
    b"\x1f\x8b": "an archive",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF": "HDF5",
    b"v/1\1": "OpenEXR",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
} | {b"P" + bytes([digit]): "a PNM" for digit in b"1234567fF"}


def read_header(data: bytes, limits: Limits, clock: Clock) -> Header:
    """Give size, kind and decodable bytes of a complete picture file of an allowed format. Raises Refused."""
    if not data:
        raise Refused("it is empty")
    if len(data) > limits.bytes:
        raise Refused(f"it has {len(data):,} bytes: {limits.bytes:,} at most are read")
    view = memoryview(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.read(view, limits, clock)
    for magic, read in READERS:
        if data.startswith(magic):
            return read(view, limits, clock)
    found = next((name for magic, name in FOREIGN.items() if data[:64].lstrip().startswith(magic)), None)
    found = found or ("cut off" if len(data) < 12 else "something else")
    raise Refused(f"it is no PNG, JPEG, BMP, TIFF or WebP picture but {found}")
