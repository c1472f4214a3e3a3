"""WebP: every chunk inside the RIFF container, and that inside the file. Source: WebP container specification."""

from anet.image.formats.header import Clock, Header, Limits, Piece, Refused, check_size
from anet.image.formats.tiff import orientation

KEPT_FLAGS = 0x12  # alpha, animation; profile, EXIF and XMP are left out


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Walk the chunks of a WebP; of an animation, up to its first frame is kept. Raises Refused."""
    total = int.from_bytes(data[4:8], "little") + 8
    if total > len(data):
        raise Refused("it is cut off: the file ends before the WebP does")
    pieces: list[Piece] = []
    size, turned, frames, at = None, 1, 0, 12
    while at + 8 <= total:
        clock.check()
        kind, length = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        body, end = data[at + 8 : at + 8 + length], at + 8 + length
        if end > total:
            raise Refused("it is cut off inside a WebP chunk")
        if size is None:
            size = _size(kind, body)
            check_size(*size, 64, limits)
        if kind == b"VP8X":
            pieces += [data[at : at + 8], bytes([body[0] & KEPT_FLAGS]), body[1:]]
        elif kind == b"EXIF":
            turned = orientation(body)
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM") or (kind == b"ANMF" and not frames):
            pieces += [data[at:end], b"\0" * (length % 2)]
        frames += kind in (b"ANMF", b"VP8 ", b"VP8L")
        at = end + length % 2
    if size is None or not frames:
        raise Refused("it is cut off: a WebP without a picture")
    length = 4 + sum(map(len, pieces))
    head = b"RIFF" + length.to_bytes(4, "little") + b"WEBP"
    return Header("WEBP", size[1], size[0], 8, 4, (head, *pieces), turned)


def _size(kind: bytes, body: memoryview) -> tuple[int, int]:
    """Give (w, h) from the first chunk."""
    if kind == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    raise Refused("it is damaged: a WebP starts with a VP8, VP8L or VP8X chunk")
