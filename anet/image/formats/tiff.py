"""TIFF and BigTIFF: the first page's directory, and every strip or tile inside the file. Source: TIFF 6.0.

The decoder gets a new directory of the tags that say how pixels are stored, appended to the file, and no other: no
metadata, no second page.
"""

import struct
from dataclasses import dataclass
from math import ceil, prod

from anet.image.formats.header import Clock, Header, Limits, Refused, check_size

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL = 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
EXTRA, FORMAT, COLOURS, REFERENCE = 338, 339, 320, 532
SINGLE = (WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, FILL, SAMPLES, STRIP_ROWS, PLANAR, TILE_WIDTH, TILE_HEIGHT, 317)
OTHER = (530, 531, REFERENCE)  # of YCbCr: read by the decoder only
KEPT = {*SINGLE, BITS, STRIPS, STRIP_BYTES, TILES, TILE_BYTES, EXTRA, FORMAT, COLOURS, *OTHER}
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}  # field types of whole numbers
NONE = 1
COMPRESSIONS = (NONE, 5, 8, 32773, 32946, 34925, 50000)  # LZW, deflate (2), PackBits, LZMA, Zstandard
SILENT = {2: "fax", 3: "fax", 4: "fax", 6: "JPEG", 7: "JPEG"}  # libtiff only warns where their data are missing
MOST_UNPACKED = 128 * 2**20  # bytes of one compressed strip or tile; the decoder holds it beside the picture


@dataclass(frozen=True)
class Directory:
    """The tags of one page: tag -> (field type, count, place of the values, the entry's own bytes)."""

    data: memoryview
    order: str  # "<" or ">"
    big: bool
    entries: dict[int, tuple[int, int, int, bytes]]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Give the whole numbers of `tag`. Raises Refused when it holds something else or too many."""
        if tag not in self.entries:
            return default
        field, count, at, _ = self.entries[tag]
        if field not in WHOLE or not 0 < count <= 1_000_000:
            raise Refused(f"it is damaged: TIFF tag {tag} makes no sense")
        return struct.unpack_from(f"{self.order}{count}{WHOLE[field]}", self.data, at)

    def number(self, tag: int, default: int = 0) -> int:
        """Give the one number of `tag`."""
        values = self.numbers(tag, (default,))
        if len(values) != 1:
            raise Refused(f"it is damaged: TIFF tag {tag} has {len(values)} values instead of one")
        return values[0]


def directory(data: memoryview) -> Directory:
    """Read the first directory of a TIFF. Raises Refused when a part of it lies outside the file."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        at += 8 if big else 2
        length, entries = (20 if big else 12), {}
        for start in range(at, at + min(count, 65535) * length, length):
            tag, field, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, start)
            place, room = start + length - (8 if big else 4), 8 if big else 4
            if tag not in KEPT and tag != ORIENTATION:
                continue
            used = BYTES.get(field, 1) * number
            if used > room:
                (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
            if place + used > len(data):
                raise Refused("it is cut off: the file ends before the values of its TIFF tags")
            entries.setdefault(tag, (field, number, place, bytes(data[start : start + length])))
    except (struct.error, OverflowError) as error:
        raise Refused("it is cut off: the file ends before its TIFF directory does") from error
    return Directory(data, order, big, entries)


def orientation(exif: memoryview) -> int:
    """Give the EXIF orientation, 1 to 8, of an EXIF block; 1 where there is none or the block is damaged."""
    exif = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    if exif[:2] not in (b"II", b"MM"):
        return 1
    try:
        found = directory(exif).number(ORIENTATION, 1)
    except Refused:
        return 1
    return found if 1 <= found <= 8 else 1


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Check the first page of a TIFF. Raises Refused when its pixels are not all in the file."""
    page = directory(data)
    w, h = page.number(WIDTH), page.number(HEIGHT)
    samples = page.number(SAMPLES, len(page.numbers(BITS, (1,))))
    if not 1 <= samples <= 6:
        raise Refused(f"a TIFF of {samples} channels is not read: save it as grey or RGB")
    every = page.numbers(BITS, (1,))
    bits = every[0]
    if len(set(every)) != 1 or len(set(page.numbers(FORMAT, (1,)))) != 1:
        raise Refused("a TIFF whose channels differ in kind is not read: save it as grey or RGB")
    if page.numbers(FORMAT, (1,))[0] == 3 and (bits != 32 or samples != 1):
        raise Refused(f"a float TIFF of {samples} channels of {bits} bits is not read: save it with 8 or 16 bits")
    if bits > 8 and samples > 1 and page.number(PLANAR, 1) == 2:
        raise Refused("a 16-bit TIFF that keeps its channels apart is not read: save it interleaved, or as PNG")
    check_size(w, h, bits * samples, limits)
    for tag in SINGLE:
        page.number(tag)
    if (packing := page.number(COMPRESSION, NONE)) not in COMPRESSIONS:
        kind = f" ({SILENT[packing]}: half of it would pass for all)" if packing in SILENT else ""
        raise Refused(f"TIFF compression {packing}{kind} is not read: save it with deflate, or as PNG")
    if bits > 8 and page.number(PHOTOMETRIC) == 0:
        raise Refused(f"a {bits}-bit TIFF with white as zero is not read: save it with black as zero")
    _check_places(page, w, h, bits, samples, limits)
    turned = page.number(ORIENTATION, 1)
    return Header("TIFF", h, w, bits, samples, _rewritten(page), turned if 1 <= turned <= 8 else 1)


def _check_places(page: Directory, w: int, h: int, bits: int, samples: int, limits: Limits) -> None:
    """Refuse a page with a strip or tile missing, short or outside the file."""
    planes = samples if page.number(PLANAR, 1) == 2 else 1
    tiled = TILES in page.entries
    across, down = (page.number(TILE_WIDTH), page.number(TILE_HEIGHT)) if tiled else (w, page.number(STRIP_ROWS, h))
    down = down if tiled else min(down, h)
    if not (across > 0 and down > 0):
        raise Refused("it is damaged: a TIFF of strips or tiles without a size")
    grid = ceil(h / down), ceil(w / across)
    if prod(grid) * across * down > 2 * max(limits.pixels, 2**20):
        raise Refused(f"its tiles of {across}x{down} pixels are far larger than its {w}x{h} pixels")
    places = page.numbers(TILES if tiled else STRIPS)
    lengths = page.numbers(TILE_BYTES if tiled else STRIP_BYTES)
    if len(places) != prod(grid) * planes or len(lengths) != len(places):
        raise Refused("it is damaged: its TIFF directory does not name every strip or tile")
    row = ceil(across * bits * (samples // planes) / 8)
    packed = page.number(COMPRESSION, NONE) != NONE
    if packed and row * down > MOST_UNPACKED:
        raise Refused(f"one of its strips unpacks to {row * down:,} bytes: {MOST_UNPACKED:,} at most are read")
    for i, (place, length) in enumerate(zip(places, lengths, strict=True)):
        rows = down if tiled else min(down, h - i % grid[0] * down)
        if place + length > len(page.data) or length < (1 if packed else row * rows):
            raise Refused("it is cut off: some of its pixels lie outside the TIFF file")


def _rewritten(page: Directory) -> tuple[bytes | memoryview, ...]:
    """Give the file with its header pointing to a directory of the kept tags, appended at its end."""
    kept = [page.entries[tag][3] for tag in sorted(page.entries) if tag != ORIENTATION]
    pad = b"\0" * (len(page.data) % 2)
    here, start = len(page.data) + len(pad), 8 if page.big else 4
    field = "Q" if page.big else "I"
    head = bytes(page.data[:start]) + struct.pack(page.order + field, here)
    count = struct.pack(page.order + ("Q" if page.big else "H"), len(kept))
    return head, page.data[len(head) :], pad, count, *kept, bytes(8 if page.big else 4)
