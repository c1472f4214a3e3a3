"""Only whole pictures of allowed formats within limits are read; all else is one ImageError of one line."""

import io
import os
import socket
import struct
import subprocess
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.errors import ImageError
from anet.image import Limits, decode_image, image_size, list_images, read_image, read_mask
from anet.image.formats import Clock, Refused
from anet.image.stream import Joined
from tests import hostile
from tests.hostile import H, W, encoded, put, surface

GOOD = hostile.good()
REFUSED = dict(hostile.refused())


def read_or_none(content: bytes, limits: Limits | None = None) -> np.ndarray | None:
    try:
        return decode_image(content, "p", limits or Limits())
    except ImageError as error:
        assert "\n" not in str(error) and str(error).startswith("cannot read p: ")
        return None


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_gives_an_rgb_picture_of_its_size(name):
    image = decode_image(GOOD[name])
    assert image.shape == (H, W, 3) and image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


@pytest.mark.parametrize("name", GOOD)
def test_a_cut_file_gives_no_picture_unless_no_pixel_is_lost(name):
    content = GOOD[name]
    whole = decode_image(content)
    ends = [len(content) - n for n in (1, 2, 3, 4, 12)]
    for at in {*np.linspace(0, len(content) - 1, 25).astype(int), *ends}:
        image = read_or_none(content[:at])
        if image is not None:  # padding of the last row or strip, the end mark of a run-length BMP
            assert at >= len(content) - 4 and not name.startswith(("png", "jpeg", "webp")) and (image == whole).all()


@pytest.mark.parametrize("name", ["tiff_lzw RGB", "zstd L", "tiff_adobe_deflate RGBA", "jpeg RGB"])
def test_decoders_print_nothing(name, capfd):
    content = GOOD[name]
    middle = len(content) * 2 // 3
    for start in (200, middle):
        read_or_none(content[:start] + b"\xfe\x55\0\x33" * 4 + content[start + 16 :])
    assert capfd.readouterr() == ("", "")


def test_more_than_40_good_and_300_bad_files_are_tried():
    assert len(GOOD) >= 40 and len(REFUSED) >= 300


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_in_one_line(name):
    assert read_or_none(REFUSED[name]) is None


@pytest.mark.parametrize("name", GOOD)
def test_a_flipped_bit_gives_a_picture_of_some_size_or_an_error(name):
    rng = np.random.default_rng(len(name))
    for at in rng.integers(0, len(GOOD[name]), 20):
        content = bytearray(GOOD[name])
        content[at] ^= 1 << int(rng.integers(8))
        image = read_or_none(bytes(content))
        assert image is None or (image.ndim == 3 and image.shape[2] == 3)
        assert image is None or not name.startswith("png"), "a PNG has checksums"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_any_mutation_gives_a_picture_or_an_image_error(name, data):
    content = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(("change", "remove", "insert", "repeat")))
        if kind == "change":
            content[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
        elif kind == "remove":
            del content[at : at + data.draw(st.integers(1, 60))]
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(max_size=30))
        else:
            content[at:at] = content[max(0, at - 40) : at]
    image = read_or_none(bytes(content))
    assert image is None or (image.dtype == np.uint8 and image.shape[2:] == (3,))


@pytest.mark.parametrize("name", GOOD)
def test_bytes_after_a_complete_picture_change_nothing(name):
    assert (decode_image(GOOD[name] + b"trailing bytes \xff\xd9" * 9) == decode_image(GOOD[name])).all()


def test_no_foreign_format_starts_a_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    monkeypatch.setattr(os, "system", lambda *a: pytest.fail("a process was started"))
    for name, content in hostile.FOREIGN.items():
        with pytest.raises(ImageError, match=r"PNG, JPEG, BMP, TIFF or WebP|empty"):
            decode_image(content, f"{name}.png")


def test_the_format_is_told_by_content_not_by_name(tmp_path):
    path = put(tmp_path, encoded(surface(), "BMP"), "looks.jpg")
    assert (read_image(path) == surface()).all()


@pytest.mark.parametrize("size", [(3000, 4000), (16, 20_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_large_pictures_within_the_limits_are_read(kind, size):
    assert decode_image(encoded(np.zeros((*size, 3), np.uint8), kind)).shape == (*size, 3)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pixels=H * W - 1), "pixels"),
        (Limits(side=W - 1), "side"),
        (Limits(bytes=99), "bytes"),
        (Limits(seconds=-1), "longer than"),
    ],
)
@pytest.mark.parametrize("name", ["png RGB", "jpeg RGB", "bmp RGB", "tiff RGB", "webp RGB"])
def test_each_limit_can_be_set_and_holds(name, limits, reason, tmp_path):
    path = put(tmp_path, GOOD[name])
    for read in (read_image, read_mask, image_size):
        if reason == "longer than" and name in ("bmp RGB", "tiff RGB") and read is image_size:
            continue  # a header of constant length
        with pytest.raises(ImageError, match=reason):
            read(path, limits)


def test_scans_of_a_jpeg_are_limited():
    content = GOOD["jpeg RGB progressive"]
    scans = content.count(b"\xff\xda")
    decode_image(content, limits=Limits(jpeg_scans=scans))
    with pytest.raises(ImageError, match="scans"):
        decode_image(content, limits=Limits(jpeg_scans=scans - 1))


def test_a_bomb_in_png_metadata_is_never_unpacked():
    bomb = zlib.compress(bytes(2**25), 9)
    rows = b"".join(b"\0" + row.tobytes() for row in surface())
    extra = hostile.chunk(b"zTXt", b"a\0\0" + bomb) * 4 + hostile.chunk(b"iCCP", b"a\0\0" + bomb)
    assert (decode_image(hostile.png(W, H, 8, 2, rows, extra)) == surface()).all()


@pytest.mark.parametrize("damage", [b"", b"MM", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(99)])
def test_damaged_exif_says_nothing_about_the_way_up(damage):
    content = encoded(surface(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(damage) + 2) + damage
    assert (decode_image(content[:2] + segment + content[2:]) == decode_image(content)).all()


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device", "missing", "no name", "NUL"])
def test_what_is_no_file_is_refused_without_waiting(kind, tmp_path):
    path = tmp_path / "p.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    path = {"device": "/dev/zero", "no name": "", "NUL": "a\0b.png"}.get(kind, path)
    for read in (read_image, read_mask, image_size):
        with pytest.raises(ImageError, match="cannot read"):
            read(path)


def test_an_input_is_not_touched(tmp_path):
    path = put(tmp_path, GOOD["png RGB"])
    os.utime(path, ns=(10**18, 10**18))
    path.chmod(0o400)
    before = path.stat()
    read_image(path), read_mask(put(tmp_path, GOOD["png L"], "g.png")), image_size(path)
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_size,
    )


def test_a_hostile_name_stays_one_harmless_line(tmp_path):
    path = tmp_path / os.fsdecode(b"a\nb\x1b[31m\xff.png")
    path.write_bytes(b"no")
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).isprintable()


def test_folders_are_walked_in_order_and_files_given_as_they_are(tmp_path):
    for name in ("b/2.PNG", "b/1.jpeg", "a.tif", "c.txt", "z.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = list(list_images([tmp_path, tmp_path / "c.txt"]))
    assert [str(p.relative_to(tmp_path)) for p in found] == ["a.tif", "b/1.jpeg", "b/2.PNG", "z.webp", "c.txt"]


def test_files_of_a_folder_that_are_no_pictures_by_their_ending_are_told(tmp_path):
    beside = ["list.CSV", "Thumbs.db", ".hidden.gif", ".git/HEAD", "notes.txt", "run.json"]
    beside += ["._a.png", ".thumbs/a.png", "__MACOSX/a.png"]  # of a Mac, of a file manager, of an archive
    for name in ("a.png", "b.JFIF", "deep/c.gif", "deep/d.gif", "deep/none", *beside):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    passed = []
    assert [path.name for path in list_images([tmp_path, tmp_path / "deep" / "c.gif"], passed.append)] == [
        "a.png", "c.gif",
    ]  # fmt: skip
    assert passed == ["hidden .png", ".jfif", ".gif", ".gif", ""]


def test_a_walk_ends_and_opens_nothing_that_is_no_file(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    put(tmp_path / "a", b"", "p.png")
    for name, target in (
        ("a/b/up", tmp_path),
        ("a/self", "self"),
        ("a/self.png", "self.png"),
        ("a/gone.png", "nowhere"),
    ):
        os.symlink(target, tmp_path / name)
    os.symlink("/dev/zero", tmp_path / "zero.png")
    os.mkfifo(tmp_path / "fifo.png")
    assert [p.name for p in list_images([tmp_path])] == ["gone.png", "p.png", "self.png"]  # reading says what is wrong
    for name in ("gone.png", "self.png"):
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / "a" / name)


def test_odd_names_are_listed_once_each(tmp_path):
    names = [
        b"new\nline.png",
        b"not\xff\xfeutf8.png",
        b"x" * 251 + b".png",
        "שלום.png".encode(),
        b"=cmd().png",
        b"%2e%2e.png",
    ]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(GOOD["png 1"])
    found = list(list_images([tmp_path]))
    assert sorted(os.fsencode(p.name) for p in found) == sorted(names)
    assert all(read_image(p).shape == (H, W, 3) for p in found)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may list everything
    with pytest.raises(ImageError, match="locked: Permission denied"):
        list(list_images([tmp_path]))
    with pytest.raises(ImageError, match="missing"):
        list(list_images([tmp_path / "missing"]))


def test_messages_of_decoders_do_not_leak_as_other_errors(monkeypatch):
    for error in (MemoryError(), RecursionError(), OverflowError(), ZeroDivisionError(), EOFError(), cv2.error("x\ny")):

        def broken(*_, error=error):
            raise error

        monkeypatch.setattr("anet.image.fingerprint", broken)
        with pytest.raises(ImageError) as caught:
            decode_image(encoded(surface(), "JPEG"))
        assert "\n" not in str(caught.value)


def test_reading_asks_for_no_more_once_time_is_up():

    stream = Joined((b"ab", b"", b"cde"), Clock(99))
    assert stream.read(3) == b"abc" and stream.tell() == 3 and stream.read() == b"de" and stream.read(9) == b""
    assert io.BufferedReader(stream) and stream.seek(-4, io.SEEK_END) == 1
    with pytest.raises(Refused, match="longer"):
        Joined((b"ab",), Clock(-1)).read(1)
