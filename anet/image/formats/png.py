"""PNG: every chunk inside the file, with the right checksum, up to IEND. Source: PNG specification, third edition."""

import zlib

from isal import isal_zlib

from anet.image.formats.header import Clock, Header, Limits, Piece, Refused, check_size
from anet.image.formats.tiff import orientation

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PLAIN = (0, 2)  # colour types whose samples are grey or RGB, nothing else
SMALL = 2**25  # bytes of pixels that are unpacked here: more would stand in memory beside the picture
KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # without acTL an animated PNG is its default picture


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Walk the chunks of a PNG. Raises Refused when one is cut, changed, or out of place."""
    pieces: list[Piece] = [data[:8]]
    packed: list[memoryview] = []
    size: tuple[int, int, int, int] | None = None
    plain = False
    turned, at, kind = 1, 8, b""
    while kind != b"IEND":
        clock.check()
        kind, end = _chunk(data, at)
        body = data[at + 8 : end - 4]
        if (size is None) != (kind == b"IHDR"):
            raise Refused("it is damaged: a PNG starts with one IHDR chunk")
        if kind == b"IHDR":
            size = _size(body, limits)
            plain = body[8] == 8 and body[9] in PLAIN and not body[12]
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
    rows = _unpacked(packed, h * (1 + w * samples)) if plain else b""
    return Header("PNG", h, w, bits, samples, tuple(pieces), turned, rows=rows)


def _unpacked(packed: list[memoryview], size: int) -> bytes:
    """Give rows as `Header.rows` has them; none of many, or that do not unpack to just `size` bytes.

    What is wrong with them, the decoder says. ISA-L takes a third of the time of Pillow's zlib (measured).
    """
    if size > SMALL:
        return b""
    unpacker = isal_zlib.decompressobj()
    try:
        rows = unpacker.decompress(b"".join(packed), size + 1)
    except isal_zlib.error:
        return b""
    return zlib.compress(rows, 0) if len(rows) == size and unpacker.eof else b""


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
