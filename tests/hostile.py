"""Picture files made in memory: good ones of every kind that is read, and many that must be refused."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

H, W = 37, 50
FOREIGN = {
    "gif": b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch /tmp/owned) system\nshowpage\n",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><svg>&b;</svg>',
    "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0",
    "ppm": b"P6 9 9 255\n" + bytes(243),
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n" + bytes(324),
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "psd": b"8BPS\0\1".ljust(99, b"\0"),
    "npy": b"\x93NUMPY\1\0v\0".ljust(128),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n".ljust(99, b"\0"),
    "zip": b"PK\3\4".ljust(99, b"\0"),
    "pickle": b"\x80\4\x95\x1a\0\0\0\0\0\0\0\x8c\2os\x94\x8c\6system\x94\x93\x94.",
    "text": b"this is no picture\n" * 9,
    "zeros": bytes(4096),
    "empty": b"",
}


def surface(h: int = H, w: int = W) -> np.ndarray:
    """Give a colourful `(h, w, 3) uint8` texture in which every row and column is different."""
    y, x = np.mgrid[:h, :w]
    smooth = np.stack([128 + 90 * np.sin(x / 5), 128 + 90 * np.cos(y / 4), (3 * x + 2 * y) % 256], 2)
    return (smooth + np.random.default_rng(0).integers(-9, 10, (h, w, 3))).clip(0, 255).astype(np.uint8)


def encoded(picture: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    """Give a picture as the content of a file."""
    stream = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Give a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(w: int, h: int, bits: int, colour: int, rows: bytes, extra: bytes = b"", woven: int = 0) -> bytes:
    """Give a PNG of unfiltered `rows`, each led by its filter byte; `extra` chunks come before the pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, woven))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rows_of(array: np.ndarray, woven: bool = False) -> list[bytes]:
    """Give the unfiltered rows of a PNG, each led by its filter byte; `woven` as Adam7, in seven passes."""
    grids = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    passes = [array[y::dy, x::dx] for y, dy, x, dx in grids] if woven else [array]
    return [b"\0" + row.astype(array.dtype.newbyteorder(">")).tobytes() for part in passes for row in part]


def tiff(array: np.ndarray, field: int = 1, photometric: int = 1, order: str = "<", **tags: int) -> bytes:
    """Give an uncompressed TIFF whose SampleFormat is `field`; `tags` as `t274=6` add to or replace those written."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    values = {256: [array.shape[1]], 257: [array.shape[0]], 258: [array.itemsize * 8] * channels, 259: [1]}
    values |= {262: [photometric], 273: [8], 277: [channels], 278: [array.shape[0]], 279: [len(data)]}
    values |= {339: [field] * channels} | {int(tag[1:]): [value] for tag, value in tags.items()}
    start, entries, beyond = 8 + len(data) + 2 + 12 * len(values) + 4, b"", b""
    for tag in sorted(values):
        packed = struct.pack(f"{order}{len(values[tag])}I", *values[tag])
        place = packed if len(packed) == 4 else struct.pack(order + "I", start + len(beyond))
        beyond += packed if len(packed) > 4 else b""
        entries += struct.pack(order + "HHI", tag, 4, len(values[tag])) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return head + data + struct.pack(order + "H", len(values)) + entries + bytes(4) + beyond


def bmp(w: int, h: int, bits: int, compression: int, pixels: bytes) -> bytes:
    """Give a BMP with a grey palette."""
    palette = b"".join(bytes((i, i, i, 0)) for i in range(1 << bits)) if bits <= 8 else b""
    offset = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset)
    return (
        head + struct.pack("<IiiHHIIiiII", 40, w, h, 1, bits, compression, len(pixels), 0, 0, 0, 0) + palette + pixels
    )


def good() -> dict[str, bytes]:
    """Give about 45 good files: name -> content, all of H x W pixels."""
    files = {}
    colour = Image.fromarray(surface())
    palette = colour.quantize(32)
    for mode in ("RGB", "RGBA", "L", "LA", "1"):
        files[f"png {mode}"] = encoded(colour.convert(mode), "PNG")
        files[f"tiff {mode}"] = encoded(colour.convert(mode), "TIFF")
    for mode in ("RGB", "L", "1"):
        files[f"bmp {mode}"] = encoded(colour.convert(mode), "BMP")
    for mode in ("RGB", "RGBA", "L"):
        files[f"webp {mode}"] = encoded(colour.convert(mode), "WEBP", quality=90)
        files[f"webp lossless {mode}"] = encoded(colour.convert(mode), "WEBP", lossless=True)
        for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"):
            files[f"{packing} {mode}"] = encoded(colour.convert(mode), "TIFF", compression=packing)
    for kind in ("PNG", "BMP", "TIFF"):
        files[f"palette {kind}"] = encoded(palette, kind)
    for mode in ("RGB", "L", "CMYK"):
        for name, options in (
            ("", {}),
            (" progressive", {"progressive": True}),
            (" dri", {"restart_marker_blocks": 2}),
        ):
            files[f"jpeg {mode}{name}"] = encoded(colour.convert(mode), "JPEG", quality=92, **options)
    files["jpeg 4:4:4"] = encoded(colour, "JPEG", subsampling=0, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    deep = surface()[..., 0].astype(np.uint16) * 257
    files["png 16"] = encoded(deep, "PNG")
    files["tiff 16"] = tiff(deep)
    files["tiff float"] = tiff((deep / 65535).astype(np.float32), field=3)
    files["bigtiff"] = encoded(colour, "TIFF", big_tiff=True)
    files["png woven"] = png(W, H, 8, 2, b"".join(rows_of(surface(), woven=True)), woven=1)
    files["rle8"] = bmp(W, H, 8, 1, b"".join(bytes((W - 20, y, 20, 9)) + b"\0\0" for y in range(H)) + b"\0\1")
    return files


def refused() -> Iterator[tuple[str, bytes]]:
    """Give bad files, beside cut ones: foreign formats, bombs, and pictures with something wrong inside."""
    yield from FOREIGN.items()
    yield from _bombs()
    yield from _spoilt_png()
    yield from _spoilt_jpeg()
    yield from _spoilt_others()
    for name, content in good().items():
        yield f"{name} with another first byte", b"\x7f" + content[1:]
        yield f"{name} after 3 bytes", b"abc" + content
        yield f"{name} first 16 bytes", content[:16]
        if name.startswith(("png", "palette PNG", "jpeg", "tiff_", "zstd")):  # raw pixels and WebP may well be zeros
            yield f"{name} second half zero", content[: len(content) // 2].ljust(len(content), b"\0")


def _bombs() -> Iterator[tuple[str, bytes]]:
    for w, h in ((65_535, 65_535), (100_001, 1000), (65_536, 1), (1, 65_536), (0, 9), (9, 0), (2**31 - 1, 2**31 - 1)):
        yield f"png {w}x{h}", png(w, h, 8, 2, bytes(99))
        yield f"tiff {w}x{h}", tiff(surface(), photometric=2, t256=w, t257=h)
        yield f"bmp {w}x{h}", bmp(w, h, 24, 0, bytes(99))
        yield f"bmp rle {w}x{h}", bmp(w, h, 8, 1, bytes(99))
        size = (w - 1 & 0xFFFFFF).to_bytes(3, "little") + (h - 1 & 0xFFFFFF).to_bytes(3, "little")
        yield f"webp {w}x{h}", b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    yield "webp 16383x16383", b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f" + struct.pack("<I", 16382 | 16382 << 14)
    yield "png 16-bit RGBA beyond bytes", png(9000, 9000, 16, 6, bytes(99))
    head = encoded(surface(), "JPEG")
    at = head.index(b"\xff\xc0")
    yield "jpeg 65500x65500", head[: at + 5] + struct.pack(">HH", 65_500, 65_500) + head[at + 9 :]
    yield "jpeg 0 rows", head[: at + 5] + struct.pack(">HH", 0, W) + head[at + 9 :]
    many = encoded(surface(), "JPEG", progressive=True)
    last = many.rindex(b"\xff\xda")
    yield "jpeg of 3000 scans", many[:last] + many[last:-2] * 3000 + many[-2:]
    yield "tiff tiles far larger than it", tiff(surface(), 1, 2, t322=60_000, t323=60_000, t324=8, t325=99)
    yield "tiff strip bomb", tiff(np.zeros((9, 9), np.uint8), t256=30_000, t257=3000 * 3, t278=9000, t259=8)


def _spoilt_png() -> Iterator[tuple[str, bytes]]:
    whole = encoded(surface(), "PNG")
    idat = whole.index(b"IDAT")
    rows = b"".join(b"\0" + row.tobytes() for row in surface())
    for kept in (0, 1, 200, len(rows) // 2, len(rows) - 1):
        yield f"png with {kept} bytes of pixels, well wrapped", png(W, H, 8, 2, rows[:kept])
    colours = chunk(b"PLTE", bytes(range(256)) * 3)
    for bits, colour, channels in ((8, 0, 1), (8, 2, 3), (8, 3, 1), (8, 4, 2), (8, 6, 4), (16, 0, 1), (16, 2, 3)):
        array = np.resize(surface(), (H, W, channels)).astype(np.uint16 if bits == 16 else np.uint8)
        for woven in (0, 1):
            every = rows_of(array, bool(woven))
            for kept in (1, len(every) // 2, len(every) - 1):  # whole rows, which a decoder fills up with black
                packed = png(W, H, bits, colour, b"".join(every[:kept]), colours if colour == 3 else b"", woven)
                yield f"png {bits} bits, kind {colour}, woven {woven}, {kept} rows, well wrapped", packed
    for at in (16, 20, 24, 29, idat + 4, idat + 99, len(whole) - 14, len(whole) - 1):
        yield f"png byte {at} changed", whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]
    yield "png without IEND", whole[:-12]
    yield "png without IDAT", whole[: idat - 4] + chunk(b"IEND", b"")
    yield "png IEND first", whole[:8] + whole[-12:] + whole[8:]
    yield "png chunk of 2 GB", whole[:33] + b"\x7f\xff\xff\xfftEXt" + whole[33:]
    yield "png of an unknown critical chunk", png(W, H, 8, 2, rows, chunk(b"EVIL", b"x"))
    yield "png colour type 5", png(W, H, 8, 5, rows)
    yield "png 3 bits", png(W, H, 3, 0, rows)
    yield "png two headers", whole[:33] + whole[8:]
    yield "png palette without colours", png(W, H, 8, 3, bytes((W + 1) * H))[:33] + chunk(b"IEND", b"")


def _spoilt_jpeg() -> Iterator[tuple[str, bytes]]:
    for name, content in good().items():
        if name.startswith("jpeg"):
            first = content.index(b"\xff\xda") + 20
            for at in np.linspace(first, len(content) - 4, 16).astype(int):
                yield f"{name} cut at {at}, end put back", content[:at].rstrip(b"\xff") + b"\xff\xd9"
        if name.endswith("dri"):
            lost = content.index(b"\xff\xd1"), content.index(b"\xff\xd2")
            yield f"{name} without the blocks between two restart markers", content[: lost[0]] + content[lost[1] :]
    whole = encoded(surface(), "JPEG")
    at = whole.index(b"\xff\xc0")
    yield "jpeg lossless", whole[: at + 1] + b"\xc3" + whole[at + 2 :]
    yield "jpeg arithmetic", whole[: at + 1] + b"\xc9" + whole[at + 2 :]
    yield "jpeg 12 bits", whole[: at + 4] + b"\x0c" + whole[at + 5 :]
    yield "jpeg 2 channels", whole[: at + 9] + b"\x02" + whole[at + 10 :]
    yield "jpeg with a taller frame", whole[: at + 5] + struct.pack(">H", H * 2) + whole[at + 7 :]
    yield "jpeg without tables", whole[: whole.index(b"\xff\xdb")] + whole[at:]
    yield "jpeg with a stray restart marker", whole[:-300] + b"\xff\xd0" + whole[-300:]
    yield "jpeg segment of length 0", whole[:2] + b"\xff\xe1\0\0" + whole[2:]
    yield "jpeg of fill bytes", whole[:2] + b"\xff" * 100_000 + whole[2:]


def _spoilt_others() -> Iterator[tuple[str, bytes]]:
    grey = surface()[..., 0]
    unit = grey.astype(np.float32) / 255
    for name, value in (("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf), ("2", 2.0), ("-1", -1.0)):
        yield f"tiff float with {name}", tiff(np.where(grey == grey[3, 3], np.float32(value), unit), field=3)
    yield "tiff float64", tiff(unit.astype(np.float64), field=3)
    yield "tiff float colour", tiff(np.dstack([unit] * 3), field=3, photometric=2)
    yield "tiff int32", tiff(grey.astype(np.int32), field=2)
    yield "tiff lab", tiff(surface(), photometric=8)
    yield "tiff 16 bits, white is zero", tiff(grey.astype(np.uint16), photometric=0)
    yield "tiff 16 bits planar", tiff(surface().astype(np.uint16), photometric=2, t284=2)
    for tag, value in (
        (273, 10**6),
        (273, 2**32 - 1),
        (279, 10),
        (279, 10**6),
        (278, 0),
        (278, 1),
        (277, 200),
        (277, 0),
    ):
        yield f"tiff tag {tag} = {value}", tiff(grey, **{f"t{tag}": value})
    for packing in (0, 6, 9, 34712, 50001, 65535):
        yield f"tiff compression {packing}", tiff(grey, t259=packing)
    for packing, mode in (("group4", "1"), ("jpeg", "L"), ("jpeg", "RGB")):  # of which half would pass for all
        yield f"tiff {packing} {mode}", encoded(Image.fromarray(surface()).convert(mode), "TIFF", compression=packing)
    yield "tiff directory outside", b"II*\0" + struct.pack("<I", 10**9) + bytes(99)
    yield "tiff directory is the header", b"II*\0\0\0\0\0"
    yield "tiff of 65535 tags", b"II*\0\x08\0\0\0\xff\xff" + bytes(999)
    for bits, compression in ((0, 0), (7, 0), (64, 0), (24, 4), (24, 5), (8, 99), (16, 3)):
        yield f"bmp {bits} bits, compression {compression}", bmp(W, H, bits, compression, bytes(W * H * 4))
    yield "bmp rle that ends early", bmp(W, H, 8, 1, b"\x05\x07\0\1")
    yield "bmp rle cut in a run", bmp(W, H, 8, 1, b"\x32\x07\0\0" * (H - 1) + b"\x31")
    yield "bmp header of 999 bytes", b"BM" + struct.pack("<IHHII", 999, 0, 0, 54, 999) + bytes(999)
    webp = encoded(surface(), "WEBP", lossless=True)
    for kept in (40, len(webp) // 2, len(webp) - 60):
        body = webp[20:kept] + b"\0" * (kept % 2)
        fitted = b"WEBP" + webp[12:16] + struct.pack("<I", len(body)) + body
        yield f"webp cut to {kept} bytes, well wrapped", b"RIFF" + struct.pack("<I", len(fitted)) + fitted


def put(folder: Path, content: bytes, name: str = "m.png") -> Path:
    """Write a file and give its path."""
    path = folder / name
    path.write_bytes(content)
    return path
