"""What is read means what it says: depth, colour, the way up, masks; and what is written is read back."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from anet.errors import ImageError
from anet.image import decode_image, image_size, png_bytes, read_image, read_mask, write_png
from anet.image.overlay import PALETTE, overlay
from tests import hostile
from tests.hostile import H, W, encoded, put, surface, tiff

GOOD = hostile.good()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_lossless_colour_comes_back_exactly(kind):
    assert (decode_image(encoded(surface(), kind)) == surface()).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_spans_black_to_white(bits):
    levels = np.arange(8) % (1 << bits)
    packed = np.packbits(((levels[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).ravel()).tobytes()
    assert decode_image(hostile.png(8, 1, bits, 0, b"\0" + packed))[0, :, 1].tolist() == [
        round(v * 255 / ((1 << bits) - 1)) for v in levels
    ]


def deep_files():
    grey = np.random.default_rng(1).integers(0, 65536, (H, W), np.uint16)
    colour = np.random.default_rng(2).integers(0, 65536, (H, W, 3), np.uint16)
    alpha = np.dstack([colour[..., ::-1], grey])
    yield "png grey", grey, encoded(grey, "PNG")
    yield "tiff grey", grey, tiff(grey)
    yield "tiff grey big-endian", grey, tiff(grey, order=">")
    yield "png rgb", colour, cv2.imencode(".png", colour[..., ::-1])[1].tobytes()
    yield "png rgba", colour, cv2.imencode(".png", alpha)[1].tobytes()
    yield "tiff rgb", colour, tiff(colour, photometric=2)
    yield "tiff rgb big-endian", colour, tiff(colour, photometric=2, order=">")
    yield "tiff rgb lzw", colour, cv2.imencode(".tif", colour[..., ::-1], [259, 5])[1].tobytes()


@pytest.mark.parametrize(("values", "content"), [pytest.param(v, c, id=n) for n, v, c in deep_files()])
def test_16_bits_are_scaled_by_value_never_clipped_or_stretched(values, content):
    expected = np.rint(values / 257).astype(np.uint8)
    assert (decode_image(content) == (expected[..., None] if expected.ndim == 2 else expected)).all()


def test_dim_16_bit_pictures_stay_dim():
    assert (decode_image(encoded(np.full((9, 9), 257 * 16, np.uint16), "PNG")) == 16).all()
    assert not decode_image(encoded(np.zeros((9, 9), np.uint16), "PNG")).any()


@pytest.mark.parametrize(("most", "bits"), [(4095, 12), (1023, 10), (1, 10)])
@pytest.mark.parametrize("channels", [1, 3])
def test_12_bits_in_a_16_bit_file_are_refused_since_they_would_pass_as_black(most, bits, channels):
    values = np.random.default_rng(0).integers(0, most + 1, (H, W, channels), np.uint16)
    values[-1, -1] = most
    content = cv2.imencode(".png", values)[1].tobytes()
    with pytest.raises(ImageError, match=f"16-bit values end at {most}, as if they were {bits}-bit data"):
        decode_image(content)
    values[-1, -1] = 4096
    assert decode_image(cv2.imencode(".png", values)[1].tobytes()).max() == 16


def test_float_is_0_to_1():
    unit = np.random.default_rng(0).random((H, W), np.float32)
    assert (decode_image(tiff(unit, field=3))[..., 0] == np.rint(unit * 255)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_nan_or_infinity_is_refused(value):
    unit = np.full((H, W), 0.5, np.float32)
    unit[3, 4] = value
    with pytest.raises(ImageError, match="NaN or infinity"):
        decode_image(tiff(unit, field=3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_dropped_and_colours_stay_as_stored(kind):
    clear = np.dstack([surface(), np.full((H, W), 128, np.uint8)])
    clear[:9, :, 3] = 1
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert (decode_image(encoded(clear, kind, **options)) == surface()).all()


def test_a_palette_gives_its_colours_and_transparency_changes_nothing():
    picture = Image.fromarray(surface()).quantize(32)
    for options in ({}, {"transparency": 3}):
        assert (decode_image(encoded(picture, "PNG", **options)) == np.asarray(picture.convert("RGB"))).all()


def test_cmyk_jpeg_with_inverted_values_becomes_the_colours_it_shows():
    smooth = cv2.resize(np.array([[[200, 30, 40], [20, 180, 60]], [[30, 60, 190], [230, 220, 40]]], np.uint8), (64, 64))
    image = decode_image(encoded(Image.fromarray(smooth).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(image.astype(int) - smooth).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_makes_upright(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    plain = encoded(surface(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    turned = encoded(surface(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    if kind == "TIFF":
        turned = tiff(surface(), photometric=2, t274=orientation)
    stored = Image.fromarray(decode_image(plain))
    stored.getexif()[274] = orientation
    assert (decode_image(turned) == np.asarray(ImageOps.exif_transpose(stored))).all()
    path = put(tmp_path, turned)
    assert image_size(path) == read_image(path).shape[:2]


@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "PNG"])
def test_only_the_first_page_or_frame_is_read(kind):
    first, other = Image.fromarray(surface()), Image.fromarray(255 - surface())
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(first, kind, save_all=True, append_images=[other, other], **options)
    assert (decode_image(content) == surface()).all()


def test_a_palette_mask_gives_indices_not_colours(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (H, W), np.uint8)
    picture = Image.fromarray(ids)
    picture.putpalette(bytes(range(255, 15, -1)))
    assert (read_mask(put(tmp_path, encoded(picture, "PNG"))) == ids).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_a_grey_mask_gives_its_values(tmp_path, dtype):
    ids = np.random.default_rng(0).integers(0, 200, (H, W)).astype(dtype) * (1 if dtype == np.uint8 else 300)
    mask = read_mask(put(tmp_path, tiff(ids, field=2 if dtype == np.int32 else 1)))
    assert (mask == ids).all() and mask.dtype == (np.uint8 if dtype == np.uint8 else np.uint16)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_mask_of_few_bits_gives_stored_values(tmp_path, bits):
    path = put(tmp_path, hostile.png(4, 1, bits, 0, b"\0" + (b"\x1b" if bits == 2 else b"\x01\x23")))
    assert read_mask(path).tolist() == [[0, 1, 2, 3]]


def test_a_1_bit_mask_gives_0_and_255(tmp_path):
    assert set(np.unique(read_mask(put(tmp_path, GOOD["png 1"])))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_equal_channels_are_one_and_alpha_is_dropped(tmp_path, mode):
    grey = Image.fromarray(surface()[..., 0])
    assert (read_mask(put(tmp_path, encoded(grey.convert(mode), "PNG"))) == np.asarray(grey)).all()


@pytest.mark.parametrize(
    "content", [GOOD["png RGB"], GOOD["jpeg CMYK"], GOOD["tiff float"], tiff(np.full((3, 3), -1, np.int32), 2)]
)
def test_what_holds_no_class_ids_is_no_mask(tmp_path, content):
    with pytest.raises(ImageError, match="class ids"):
        read_mask(put(tmp_path, content))


@pytest.mark.parametrize("shape", [(H, W), (H, W, 3), (1, 1)])
def test_what_is_written_is_read_back(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_png(tmp_path / "a.png", array)
    assert (read_image(tmp_path / "a.png") == (array if array.ndim == 3 else array[..., None])).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("band", [1, 40, 10_000])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (1, 60), (60, 1, 3)])
def test_another_decoder_reads_the_same_in_whatever_bands_it_was_packed(monkeypatch, shape, band):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    monkeypatch.setattr("anet.image.png.BAND", band)
    read = cv2.imdecode(np.frombuffer(png_bytes(array), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (read == array[..., ::-1] if array.ndim == 3 else read == array).all()


def test_a_grey_picture_takes_less_room_than_its_pixels_and_an_empty_mask_next_to_none():
    y, x = np.mgrid[:200, :200]
    surface = (100 + 20 * np.sin(y / 9) + 20 * np.cos(x / 7)).astype(np.uint8)
    assert len(png_bytes(surface)) < surface.size / 2 and len(png_bytes(surface * 0)) < 400


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((3, 3, 4), np.uint8), np.zeros(3, np.uint8)])
def test_only_grey_and_rgb_of_8_bits_are_written(array):
    with pytest.raises(ValueError, match="uint8"):
        png_bytes(array)


def test_an_overlay_tints_classes_outlines_them_and_leaves_the_rest():
    image, mask = surface(), np.zeros((H, W), np.uint8)
    mask[5:20, 5:20], mask[0, :3], mask[30:33] = 2, 1, 255
    before = image.copy()
    shown = overlay(image, mask)
    assert (image == before).all() and (shown[(mask == 0) | (mask == 255)] == image[(mask == 0) | (mask == 255)]).all()
    assert (shown[5, 5:20] == PALETTE[2]).all() and (shown[0, 1] == PALETTE[1]).all()
    assert np.abs(shown[10, 10] - (0.55 * image[10, 10] + 0.45 * np.array(PALETTE[2]))).max() <= 0.5


def test_an_overlay_wraps_the_palette_and_refuses_another_size():
    shown = overlay(np.zeros((3, 3, 3), np.uint8), np.full((3, 3), len(PALETTE), np.uint8), alpha=1.0)
    assert (shown == PALETTE[1]).all()
    with pytest.raises(ValueError, match="picture"):
        overlay(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 4), np.uint8))


def test_a_picture_that_is_written_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "part.bmp"
    path.write_bytes(content := encoded(surface(), "BMP"))
    read_image(path)
    looked, states = os.fstat, []

    def looks(handle: int) -> os.stat_result:
        states.append(looked(handle))
        os.pwrite(writer, b"\0", len(content) - 1)  # the writer of a file made whole before goes on
        os.utime(path, ns=(0, len(states)))  # as a clock would have it: that of a disk may be too coarse
        return states[-1]

    writer = os.open(path, os.O_WRONLY)
    with monkeypatch.context() as patch, pytest.raises(ImageError, match=r"bmp: it was written while it was read"):
        patch.setattr(os, "fstat", looks)
        read_image(path)
    os.close(writer)
    assert len(states) == 2
