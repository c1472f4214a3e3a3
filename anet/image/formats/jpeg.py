"""JPEG: every segment, restart marker and scan in its place, up to the end marker. Source: ITU-T T.81.

libjpeg only warns when compressed data runs out and fills the rest with grey, so a cut file whose end marker was put
back would pass for a picture. Two things show it: the scans must refine every coefficient to its last bit, and `proof`
(the same file with bits of our own after the data of each scan) must decode to the same pixels. A decoder that has
all it needs never looks at those bits; one that lacks data takes them for pixels.
"""

import re
from math import ceil

from anet.image.formats.header import Clock, Header, Limits, Piece, Refused, check_size
from anet.image.formats.tiff import orientation

SOI, EOI, SOS, DRI, APP0, APP1, APP14, APP15, COM = 0xD8, 0xD9, 0xDA, 0xDD, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
TABLES = (0xC4, 0xDB)  # Huffman, quantisation
FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; all Huffman-coded
PROGRESSIVE = 0xC2
MARKER = re.compile(rb"\xff[\x01-\xfe]")  # inside compressed data: anything but a stuffed zero or a fill byte
PROBE = bytes((i * 73 + 0xB5) % 251 for i in range(256))  # no 0xFF; begins with ones where the filling is zeros
MOST_RESTARTS = 65_536  # beyond that only the end of a scan is probed


class _Frame:
    """The frame header, and which coefficients the scans have brought so far."""

    def __init__(self, body: memoryview, marker: int, limits: Limits) -> None:
        if len(body) < 6 or len(body) != 6 + 3 * body[5]:
            raise Refused("it is damaged: its JPEG frame header makes no sense")
        self.h, self.w = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
        self.progressive = marker == PROGRESSIVE
        self.parts = {body[i]: (body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body), 3)}
        if body[0] != 8 or len(self.parts) not in (1, 3, 4) or len(self.parts) != body[5]:
            raise Refused(f"a JPEG of {body[0]} bits and {body[5]} channels is not read: save it as PNG")
        if not all(1 <= side <= 4 for factors in self.parts.values() for side in factors):
            raise Refused("it is damaged: a JPEG samples by 1 to 4")
        check_size(self.w, self.h, 8 * len(self.parts), limits)
        self.missing = {(part, k): 14 for part in self.parts for k in range(64)}  # bits still to come, 14: all

    def scan(self, body: memoryview) -> int:
        """Note what a scan brings; give its number of coded units. Raises Refused when it makes no sense."""
        count = body[0] if len(body) else 0
        if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
            raise Refused("it is damaged: one of its JPEG scans makes no sense")
        parts = [body[i] for i in range(1, 1 + 2 * count, 2)]
        first, last, low = (body[-3], body[-2], body[-1] & 15) if self.progressive else (0, 63, 0)
        if not set(parts) <= set(self.parts) or not first <= last <= 63:
            raise Refused("it is damaged: one of its JPEG scans makes no sense")
        for part in parts:
            for k in range(first, last + 1):
                self.missing[part, k] = min(self.missing[part, k], low)
        across, down = (max(factors[i] for factors in self.parts.values()) for i in (0, 1))
        if count > 1:
            return ceil(self.w / (8 * across)) * ceil(self.h / (8 * down))
        x, y = self.parts[parts[0]]
        return ceil(ceil(self.w * x / across) / 8) * ceil(ceil(self.h * y / down) / 8)


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Walk the segments and scans of a JPEG. Raises Refused when anything is missing or there are too many scans."""
    pieces: list[Piece] = [data[:2]]
    proof: list[Piece] = [data[:2]]
    frame, turned, every, scans, at = None, 0, 0, 0, 2
    while True:
        clock.check()
        marker, body, end = _segment(data, at)
        if marker == EOI:
            break
        if marker == APP1 and not turned and body[:6] == b"Exif\0\0":
            turned = orientation(body)
        elif marker in FRAMES:
            if frame:
                raise Refused("it is damaged: a JPEG with two frames")
            frame = _Frame(body, marker, limits)
        elif marker == DRI and len(body) == 2:
            every = int.from_bytes(body)
        if not (APP0 < marker <= APP15 or marker == COM) or marker == APP14:
            pieces.append(data[at:end])
            proof.append(data[at:end])
        if marker == SOS:
            scans += 1
            if not frame or scans > limits.jpeg_scans:
                raise Refused(f"it is no usual JPEG: more than {limits.jpeg_scans} scans" if frame else "it is damaged")
            units = frame.scan(body)
            ends = _scan_ends(data, end, ceil(units / every) - 1 if every else 0, clock)
            pieces.append(data[end : ends[-1]])
            for stop in ends if len(ends) <= MOST_RESTARTS else ends[-1:]:
                proof += [data[end:stop], PROBE]
                end = stop
        at = end
    if not frame or any(frame.missing.values()):
        raise Refused("it is cut off: some of its JPEG scans are missing")
    tail = b"\xff\xd9"
    samples = len(frame.parts)
    return Header("JPEG", frame.h, frame.w, 8, samples, (*pieces, tail), turned or 1, (*proof, tail))


def _segment(data: memoryview, at: int) -> tuple[int, memoryview, int]:
    """Give marker, content and end of the segment at `at`."""
    start = at
    while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
        at += 1
        if at - start > 65_535:
            raise Refused("it is damaged: a JPEG of fill bytes")
    if at + 2 > len(data):
        raise Refused("it is cut off: the file ends before the JPEG does")
    marker = data[at + 1]
    if data[at] != 0xFF:
        raise Refused("it is damaged: a JPEG segment does not start where the one before ends")
    if marker == EOI:
        return marker, data[at:at], at + 2
    if marker not in (*FRAMES, *TABLES, SOS, DRI, COM) and not APP0 <= marker <= APP15:
        raise Refused(f"JPEG marker 0x{marker:02X} is not read (lossless, arithmetic-coded or damaged): save it as PNG")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    if at + 4 > len(data) or end > len(data) or end < at + 4:
        raise Refused("it is cut off: the file ends inside a JPEG segment")
    return marker, data[at + 4 : end], end


def _scan_ends(data: memoryview, start: int, restarts: int, clock: Clock) -> list[int]:
    """Give the ends of a scan's stretches of compressed data: at each restart marker, and its own. Raises Refused."""
    ends: list[int] = []
    for found in MARKER.finditer(data, start):
        stop, marker = found.start(), data[found.start() + 1]
        if 0xD0 <= marker <= 0xD7:
            clock.check()
            if len(ends) >= restarts or marker & 7 != len(ends) % 8:
                raise Refused("it is damaged: a JPEG restart marker is not in its place")
        elif len(ends) < restarts:
            raise Refused("it is cut off: a JPEG scan ends early")
        while stop > start and data[stop - 1] == 0xFF:
            stop -= 1
        ends.append(stop)
        if not 0xD0 <= marker <= 0xD7:
            return ends
    raise Refused("it is cut off: the file ends before the JPEG does")
