"""A checkerboard of known size gives the size of a pixel, and what is no board gives one clear line."""

import json

import cv2
import numpy as np
import pytest

from anet.errors import ImageError, OptionError
from anet.image import write_png
from anet.runtime.measuring.calibrate import Calibration, calibrate, read_scale, read_squares, scale_of


def board(across: int = 9, down: int = 6, square: int = 40) -> np.ndarray:
    """Draw a checkerboard with a white rim: `(H, W, 3) uint8`."""
    ys, xs = np.mgrid[: down * square, : across * square] // square
    inner = np.where((ys + xs) % 2, 255, 20).astype(np.uint8)
    return np.repeat(np.pad(inner, 60, constant_values=255)[..., None], 3, axis=2)


def seen(matrix: np.ndarray, h: int = 520, w: int = 700) -> np.ndarray:
    return cv2.warpPerspective(board(), matrix, (w, h), flags=cv2.INTER_AREA, borderValue=(255, 255, 255))


def test_a_straight_board_is_measured_to_a_thousandth():
    found = calibrate(board(), (9, 6), 2.0)
    assert found.mm_per_px == pytest.approx((0.05, 0.05), rel=1e-3)
    assert found.residual_px < 0.1 and found.tilt < 0.003 and found.warnings == ()
    assert (found.corners, found.h, found.w) == ((8, 5), 360, 480)


def test_squares_counted_as_inner_corners_give_the_same():
    assert calibrate(board(), (8, 5), 2.0).mm_per_px == pytest.approx((0.05, 0.05), rel=1e-3)


def test_two_axes_are_measured_each_by_itself_and_their_difference_is_said():
    found = calibrate(cv2.resize(board(), (600, 360), interpolation=cv2.INTER_AREA), (9, 6), 2.0)
    assert found.mm_per_px == pytest.approx((0.05, 0.04), rel=2e-3)
    assert len(found.warnings) == 1 and "mm wide" in found.warnings[0]


@pytest.mark.parametrize("turn", [7, 30, -20])
def test_a_board_may_lie_turned(turn):
    matrix = np.vstack([cv2.getRotationMatrix2D((240, 180), turn, 1.0), [0, 0, 1]])
    matrix = np.array([[1, 0, 110], [0, 1, 80], [0, 0, 1.0]]) @ matrix
    found = calibrate(seen(matrix), (9, 6), 2.0)
    assert found.mm_per_px == pytest.approx((0.05, 0.05), rel=3e-3) and found.warnings == ()


def test_a_tilted_board_is_warned_of():
    tilted = np.array([[1, 0, 40], [0, 1, 40], [2e-4, 0, 1.0]])
    found = calibrate(seen(tilted), (9, 6), 2.0)
    assert found.tilt > 0.01 and any("tilted" in one for one in found.warnings)


def test_a_sheared_board_is_warned_of():
    found = calibrate(seen(np.array([[1, 0.04, 40], [0, 1, 40], [0, 0, 1.0]])), (9, 6), 2.0)
    assert found.tilt > 0.03 and any("tilted" in one for one in found.warnings)


def test_where_no_board_is_found_one_line_names_the_picture(tmp_path):
    write_png(tmp_path / "wall.png", np.full((200, 300, 3), 90, np.uint8))
    with pytest.raises(ImageError, match=r"no checkerboard of 9x6 squares found in .*wall\.png") as caught:
        calibrate(tmp_path / "wall.png", (9, 6), 2.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), 1e7])
def test_a_square_without_a_width_is_refused(wrong):
    with pytest.raises(OptionError, match="square_mm"):
        calibrate(board(), (9, 6), wrong)


@pytest.mark.parametrize("text", ["", "9", "9x", "x6", "3x6", "9x6x2", "9.5x6", "-9x6", "9x1000000", "nine", "²x9"])
def test_squares_that_are_none_are_refused(text):
    with pytest.raises(OptionError, match="9x6, would work"):
        read_squares(text)
    assert read_squares("9x6") == read_squares("9X6") == (9, 6)


@pytest.mark.parametrize(
    "wrong",
    [0, -0.1, float("nan"), float("inf"), 1e9, True, "0.05", (), (0.1,), (0.1, 0), (0.1, float("nan")), (1, 2, 3), {}],
    ids=str,
)
def test_a_pixel_without_a_size_is_refused(wrong):
    with pytest.raises(OptionError, match="would work") as caught:
        scale_of(wrong)
    assert "\n" not in str(caught.value)


def test_a_pixels_size_is_read_from_one_number_two_or_a_file(tmp_path):
    assert scale_of(None) is None and scale_of(0.05) == (0.05, 0.05) and scale_of([0.1, 1]) == (0.1, 1.0)
    assert read_scale("1,25")[2] == ("a pixel is 1 mm high and 25 mm wide; if that is a decimal comma, write 1.25",)
    assert not read_scale("0.05,0.09")[2]
    assert read_scale("0.05") == ((0.05, 0.05), None, ()) and read_scale("0.05,0.048")[0] == (0.05, 0.048)
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(calibrate(board(), (9, 6), 2.0).to_dict(), allow_nan=False))
    scale, size, warnings = read_scale(str(file))
    assert scale == pytest.approx((0.05, 0.05), rel=1e-3) and size == board().shape[:2] and warnings == ()


def test_a_number_is_a_number_though_a_file_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("1", b""), ("0.05", b'{"mm_per_px": [2, 2], "h": 5, "w": 5}')):
        (tmp_path / name).write_bytes(content)
        assert read_scale(name) == ((float(name), float(name)), None, ())


@pytest.mark.parametrize("text", ["", ",", "0", "-1", "nan", "inf", "1,2,3", "0.05,", "0.05;0.04", "absent.json", "."])
def test_a_text_that_is_no_size_is_refused(text):
    with pytest.raises(OptionError) as caught:
        read_scale(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"mm_per_px": null}', b'{"mm_per_px": 0.05}',
        b'{"mm_per_px": [0, 1]}', b'{"mm_per_px": [NaN, 1]}', b'{"mm_per_px": ["a", 1]}', b" " * 2**21,
        b'{"mm_per_px": [1, 1], "h": true, "w": 5}', b'{"mm_per_px": [1, 1], "h": 5}',
        b'{"mm_per_px": [1, 1], "h": -5, "w": 5}', b'{"mm_per_px": [1, 1], "warnings": "tilted"}',
        b'{"mm_per_px": [1, 1], "warnings": [1]}',
    ],
    ids=lambda content: str(content[:20]),
)  # fmt: skip
def test_a_file_that_is_no_calibration_is_refused(tmp_path, content):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(OptionError) as caught:
        read_scale(str(tmp_path / "c.json"))
    assert "\n" not in str(caught.value)


def test_a_calibration_is_plain_json():
    found = Calibration((0.05, 0.04), 0.1, 0.0, (8, 5), 2.0, 10, 20, ("one",))
    assert json.loads(json.dumps(found.to_dict()))["mm_per_px"] == [0.05, 0.04]
