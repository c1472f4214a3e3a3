"""What a picture file says of itself before anything is decoded, and what may be asked of us."""

import time
from dataclasses import dataclass

Piece = bytes | memoryview


class Refused(ValueError):
    """A picture that is not read, with the reason; anet.image makes an ImageError that also names the file."""


@dataclass(frozen=True)
class Limits:
    """What a picture file may ask of us; checked from its header before anything is decoded.

    `pixels` are of 4 bytes: 16-bit colour may have two thirds as many, and WebP, whose decoder holds several copies,
    half. Reading any one file then stays below about 1 GiB.
    """

    pixels: int = 100_000_000
    side: int = 65_535
    bytes: int = 256 * 2**20
    jpeg_scans: int = 100
    seconds: float = 5.0


LIMITS = Limits()


@dataclass(frozen=True)
class Header:
    """Size and kind of a picture whose file is complete.

    `pieces` are the bytes the decoder is given: the file's own, without metadata (comments, profiles, EXIF, further
    pages), which are where decompression bombs and parser bugs live. `proof`, where not empty, decodes to the same
    pixels only if no compressed data is missing (see anet.image.formats.jpeg). `rows`, where not empty, are those of a
    plain PNG in 8 bits, grey or RGB, as it filters them, in a zlib stream that only stores them.
    """

    format: str
    h: int
    w: int
    bits: int  # of one sample
    samples: int  # of one pixel
    pieces: tuple[Piece, ...]
    orientation: int = 1  # EXIF, 1 to 8
    proof: tuple[Piece, ...] = ()
    rows: bytes = b""


class Clock:
    """Seconds of this thread's processor time that one picture may take, from now on.

    Not of the wall clock: a busy machine must not turn good pictures away.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.thread_time() + seconds

    def check(self) -> None:
        """Raise Refused once time is up."""
        if time.thread_time() > self.end:
            raise Refused(f"reading it takes longer than {self.seconds:g} s")


def check_size(w: int, h: int, pixel_bits: int, limits: Limits) -> None:
    """Hold a header's size against the limits. Raises Refused."""
    if w <= 0 or h <= 0:
        raise Refused(f"it is damaged: its header says {w}x{h} pixels")
    if max(w, h) > limits.side:
        raise Refused(f"{w}x{h} pixels: a side may have {limits.side:,} at most")
    if w * h > limits.pixels:
        raise Refused(f"{w}x{h} pixels: {limits.pixels:,} at most are read")
    if w * h * pixel_bits > limits.pixels * 32:
        raise Refused(f"{w}x{h} pixels of {pixel_bits} bits: {limits.pixels * 4:,} bytes at most are unpacked")
