"""BMP: a header that says how many bytes of pixels follow."""

import struct

from anet.image.formats.header import Clock, Header, Limits, Refused, check_size

RAW, RLE8, RLE4, BITFIELDS = range(4)


def read(data: memoryview, limits: Limits, clock: Clock) -> Header:
    """Check the header of a BMP. Raises Refused when it is foreign, or the file too short for its pixels."""
    if len(data) < 26:
        raise Refused("it is cut off: a BMP header has 26 bytes or more")
    offset, length = struct.unpack_from("<II", data, 10)
    compression = RAW
    if length == 12:
        w, h, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif length in (40, 52, 56, 64, 108, 124):
        if len(data) < 14 + length:
            raise Refused("it is cut off inside its BMP header")
        w, h, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        h = abs(h)  # negative: top row first
    else:
        raise Refused(f"it is no BMP picture, or a damaged one: its header claims {length} bytes")
    if bits not in (1, 4, 8, 16, 24, 32) or compression > BITFIELDS:
        raise Refused(f"a BMP of {bits} bits and compression {compression} is not read: save it as PNG")
    check_size(w, h, bits, limits)
    if compression in (RLE8, RLE4):  # the decoder itself wants every run
        return Header("BMP", h, w, 8, 1, (data,))
    row = (w * bits + 31) // 32 * 4
    # The padding of the file's last row holds no pixel, and some writers leave it out; the decoder wants it.
    if max(offset, 14 + length) + row * (h - 1) + (w * bits + 7) // 8 > len(data):
        raise Refused("it is cut off: the file ends before its last row of pixels")
    return Header("BMP", h, w, 8, 1 if bits <= 8 else 3, (data, b"\0\0\0"))
