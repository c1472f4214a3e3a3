"""PNG: every chunk inside the file, with the right checksum, up to IEND. Source: PNG specification, third edition."""

import zlib
from math import ceil

from isal import isal_zlib

from anet.image.formats.header import Clock, Header, Limits, Piece, Refused, check_size
from anet.image.formats.tiff import orientation

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PLAIN = (0, 2)  # colour types whose samples are grey or RGB, nothing else
SMALL = 2**25  # bytes of pixels that are unpacked here: more would stand in memory beside the picture
KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # without acTL an animated PNG is its default picture
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # of Adam7
AT_ONCE = 2**20  # bytes unpacked at a time where only their number is asked for
SLICE = 2**16  # bytes given to the unpacker at a time: what it leaves over is copied


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Walk the chunks of a PNG. Raises Refused when one is cut, changed, or out of place, or holds too few pixels."""
    pieces: list[Piece] = [data[:8]]
    packed: list[memoryview] = []
    size: tuple[int, int, int, int] | None = None
    plain, woven = False, False
    turned, at, kind = 1, 8, b""
    while kind != b"IEND":
        clock.check()
        kind, end = _chunk(data, at)
        body = data[at + 8 : end - 4]
        if (size is None) != (kind == b"IHDR"):
            raise Refused("it is damaged: a PNG starts with one IHDR chunk")
        if kind == b"IHDR":
            size = _size(body, limits)
            woven = bool(body[12])
            plain = body[8] == 8 and body[9] in PLAIN and not woven
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise Refused(f"it is damaged: the checksum of its {_shown(kind)} chunk is wrong")
        if kind == b"eXIf":
            turned = orientation(body)
        if kind == b"IDAT":
            packed.append(body)
        if kind in KEPT:
            pieces.append(data[at:end])
        elif not kind[0] & 32:
            raise Refused(f"it holds a PNG chunk {_shown(kind)} that nobody defined")
        at = end
    assert size is not None  # the first chunk was IHDR
    w, h, bits, samples = size
    whole = _row_bytes(w, h, bits * samples, woven)
    rows = b""
    if plain and whole <= SMALL:
        rows = _unpacked(packed, whole)
    else:
        _check_count(packed, whole, clock)
    return Header("PNG", h, w, bits, samples, tuple(pieces), turned, rows=rows)


def _row_bytes(w: int, h: int, pixel_bits: int, woven: bool) -> int:
    """Give how many bytes all rows have, a byte for the filter of each included."""
    grids = [(ceil((w - x) / across), ceil((h - y) / down)) for x, y, across, down in PASSES] if woven else [(w, h)]
    return sum(rows * (1 + ceil(columns * pixel_bits / 8)) for columns, rows in grids if columns > 0 and rows > 0)


def _unpacked(packed: list[memoryview], size: int) -> bytes:
    """Give rows as `Header.rows` has them; none that do not unpack. Raises Refused for fewer than `size` bytes.

    What is wrong with them, the decoder says. ISA-L takes a third of the time of Pillow's zlib (measured).
    """
    unpacker = isal_zlib.decompressobj()
    try:
        rows = unpacker.decompress(b"".join(packed), size + 1)
    except isal_zlib.error:
        return b""
    _refuse_short(len(rows), size)
    return zlib.compress(rows, 0) if len(rows) == size and unpacker.eof else b""


def _check_count(packed: list[memoryview], size: int, clock: Clock) -> None:
    """Refuse fewer than `size` packed bytes: a decoder would take the rest for black."""
    unpacker, held = isal_zlib.decompressobj(), 0
    try:
        for piece in packed:
            for at in range(0, len(piece), SLICE):
                left: bytes | memoryview = piece[at : at + SLICE]
                rows = b"more"
                while held < size and not unpacker.eof and (left or rows):
                    clock.check()
                    rows = unpacker.decompress(left, AT_ONCE)
                    left, held = unpacker.unconsumed_tail, held + len(rows)
    except isal_zlib.error:
        return  # what is wrong, the decoder says
    _refuse_short(held, size)


def _refuse_short(held: int, size: int) -> None:
    """Refuse a PNG whose data end before its last row, though its checksums are right: its writer gave up."""
    if held < size:
        raise Refused("it is cut off: its PNG data end before its last row")


def _chunk(data: memoryview, at: int) -> tuple[bytes, int]:
    """Give kind and end of the chunk at `at`."""
    end = at + 12 + int.from_bytes(data[at : at + 4])
    if at + 12 > len(data) or end > len(data):
        raise Refused("it is cut off: the file ends before the PNG does")
    return bytes(data[at + 4 : at + 8]), end


def _size(body: memoryview, limits: Limits) -> tuple[int, int, int, int]:
    if len(body) != 13 or body[9] not in SAMPLES:
        raise Refused("it is damaged: its IHDR chunk makes no sense")
    w, h = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
    check_size(w, h, body[8] * SAMPLES[body[9]], limits)
    return w, h, body[8], SAMPLES[body[9]]


def _shown(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
