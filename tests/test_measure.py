"""Regions of known size come back with that size."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anet import frame
from anet.frame import IGNORE, Answer, Frame, decide
from anet.runtime.measuring.measure import Defect, find_defects
from anet.runtime.measuring.shape import AXIS

MASKS = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.sampled_from([0, 0, 0, 1, 2])
)


def probs_for(mask: np.ndarray, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((*mask.shape, channels), np.float32)


def measure(mask: np.ndarray, **options) -> tuple[Defect, ...]:
    return find_defects(mask.astype(np.uint8), Answer(probs_for(mask), *mask.shape), **options)


def grid(size: int = 201) -> tuple[np.ndarray, np.ndarray]:
    ys, xs = np.mgrid[:size, :size]
    return ys - size // 2, xs - size // 2


def test_one_pixel_is_one_by_one():
    mask = np.zeros((9, 9))
    mask[4, 6] = 1
    (one,) = measure(mask)
    assert (one.area_px, one.box, one.centroid) == (1, (6, 4, 7, 5), (4.0, 6.0))
    assert (one.length_px, one.width_px, one.angle_deg, one.touches_border) == (1.0, 1.0, 0.0, False)


@pytest.mark.parametrize(("h", "w", "angle"), [(3, 17, 0.0), (17, 3, 90.0), (1, 40, 0.0), (40, 1, 90.0), (5, 5, 0.0)])
def test_an_upright_rectangle_is_measured_exactly(h, w, angle):
    mask = np.zeros((60, 70))
    mask[7 : 7 + h, 11 : 11 + w] = 1
    (one,) = measure(mask)
    assert (one.length_px, one.width_px, one.angle_deg) == (max(h, w), min(h, w), angle)
    assert one.area_px == h * w and one.box == (11, 7, 11 + w, 7 + h)
    assert one.centroid == (7 + (h - 1) / 2, 11 + (w - 1) / 2)


def test_a_rectangle_with_a_hole_has_the_same_sides_and_less_area():
    mask = np.zeros((60, 70))
    mask[10:30, 20:60] = 1
    mask[15:20, 30:50] = 0
    (one,) = measure(mask)
    assert (one.length_px, one.width_px, one.area_px) == (40, 20, 700)


@pytest.mark.parametrize("radius", [2.5, 5.5, 10.5, 30.5, 80.5])
def test_a_disc_is_as_long_and_wide_as_its_diameter(radius):
    ys, xs = grid()
    (one,) = measure(ys**2 + xs**2 < radius**2)
    near = max(0.5, 0.01 * 2 * radius)
    assert one.length_px == pytest.approx(2 * radius, abs=near) and one.width_px == pytest.approx(2 * radius, abs=near)
    assert one.area_px == pytest.approx(np.pi * radius**2, rel=0.2 / radius)


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_a_rotated_rectangle_is_measured_to_a_pixel_and_two_degrees(angle):
    ys, xs = grid()
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    (one,) = measure((abs(xs * c + ys * s) < 60.25) & (abs(ys * c - xs * s) < 10.25))
    assert one.length_px == pytest.approx(120.5, abs=1) and one.width_px == pytest.approx(20.5, abs=1)
    off = abs(one.angle_deg - angle) % 180
    assert min(off, 180 - off) < 2 and 0 <= one.angle_deg < 180
    assert one.area_px == pytest.approx(120.5 * 20.5, rel=0.05)


def test_the_angle_runs_from_x_towards_y_and_a_diagonal_line_is_thin():
    (one,) = measure(np.eye(30))
    assert one.angle_deg == pytest.approx(45, abs=0.01)
    assert one.length_px == pytest.approx(30 * 2**0.5, abs=0.8) and one.width_px == pytest.approx(0.5**0.5, abs=0.01)


def test_pixels_that_touch_at_a_corner_are_one_region_and_classes_stay_apart():
    assert len(measure(np.array([[1, 0], [0, 1]]))) == 1
    assert [one.class_id for one in measure(np.array([[1, 0], [0, 2]]))] == [1, 2]
    assert [one.area_px for one in measure(np.array([[1, 2, 1]]))] == [1, 1, 1]


def test_scores_are_highest_and_mean_probability_of_the_own_class():
    mask = np.array([[1, 1, 0, 2]], np.uint8)
    probs = np.zeros((1, 4, 3), np.float32)
    probs[0, :2, 1], probs[0, 3, 2], probs[0, 2] = (0.6, 0.9), 0.7, 1.0
    first, second = find_defects(mask, Answer(probs, *mask.shape), 0, ("background", "pit", "scratch"))
    assert (first.class_name, second.class_name) == ("pit", "scratch")
    assert first.score == pytest.approx(0.9) and first.mean_score == pytest.approx(0.75)
    assert second.score == second.mean_score == pytest.approx(0.7)
    (single,) = find_defects((mask == 2).astype(np.uint8), Answer(probs[..., 2:], *mask.shape), 0)
    assert single.score == pytest.approx(0.7)


@pytest.mark.parametrize(("y", "x", "touches"), [(0, 3, True), (3, 0, True), (7, 3, True), (3, 9, True), (3, 3, False)])
def test_a_region_at_any_border_says_so(y, x, touches):
    mask = np.zeros((8, 10))
    mask[y, x] = 1
    assert measure(mask)[0].touches_border is touches


def test_small_regions_are_left_out_from_exactly_the_stated_area():
    mask = np.zeros((20, 20))
    mask[2:4, 2:4] = mask[10:13, 10] = 1
    assert [one.area_px for one in measure(mask, min_area_px=3)] == [4, 3]
    assert [one.area_px for one in measure(mask, min_area_px=4)] == [4]
    assert measure(mask, min_area_px=5) == ()


def test_nothing_is_found_on_a_clean_or_ignored_picture():
    assert measure(np.zeros((5, 5))) == () and measure(np.full((5, 5), IGNORE)) == ()


def test_a_hundred_thousand_specks_are_all_found():
    mask = np.zeros((640, 640), np.uint8)
    mask[::2, ::2] = 1
    mask[0, 1] = 1  # joins the first two
    found = measure(mask)
    assert len(found) == 320 * 320 - 1
    assert found[0].area_px == 3 and {one.area_px for one in found[1:]} == {1}


def test_long_diagonals_cost_their_pixels_and_not_their_boxes():
    mask = np.zeros((3000, 3000), np.uint8)
    for offset in range(-2900, 2900, 10):
        mask |= np.eye(3000, k=offset, dtype=np.uint8)
    found = measure(mask)
    assert len(found) == 580 and all(one.width_px < 1 for one in found)


def test_the_record_is_plain_json():
    mask = np.zeros((9, 9))
    mask[2, 3:5] = mask[3, 4] = 1
    record = json.loads(json.dumps(measure(mask)[0].to_dict(), allow_nan=False))
    assert record["box"] == [3, 2, 5, 4] and record["touches_border"] is False and record["area_px"] == 3


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_areas_add_up_to_the_masks_pixels_and_order_is_by_area(mask):
    found = measure(mask)
    for class_id in (1, 2):
        assert sum(one.area_px for one in found if one.class_id == class_id) == np.count_nonzero(mask == class_id)
    assert [one.area_px for one in found] == sorted((one.area_px for one in found), reverse=True)
    count = sum(cv2.connectedComponents((mask == class_id).view(np.uint8))[0] - 1 for class_id in (1, 2))
    assert len(found) == count


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(1, 9), st.integers(1, 9))
def test_moving_a_picture_moves_its_defects_and_changes_nothing_else(mask, dy, dx):
    probs = probs_for(mask)
    moved = np.pad(mask, ((dy, 1), (dx, 1)))
    there = find_defects(moved, Answer(np.pad(probs, ((dy, 1), (dx, 1), (0, 0))), *moved.shape))
    here = find_defects(mask, Answer(probs, *mask.shape))
    assert len(here) == len(there)
    for one, two in zip(here, there, strict=True):
        x0, y0, x1, y1 = one.box
        assert two.box == (x0 + dx, y0 + dy, x1 + dx, y1 + dy)
        assert two.centroid == pytest.approx((one.centroid[0] + dy, one.centroid[1] + dx))
        same = ("class_id", "score", "mean_score", "area_px")
        assert [getattr(one, name) for name in same] == [getattr(two, name) for name in same]
        assert two.length_px * two.width_px == pytest.approx(one.length_px * one.width_px, rel=1e-3)
        assert two.touches_border is False


def test_a_region_that_just_fills_its_rectangle_is_measured_alike_wherever_it_lies():
    """64 of 16 x 5 pixels, exactly FULL: the rectangle's own rounding must not choose the method."""
    mask = np.ones((16, 5), np.uint8)
    mask[:3, 3] = mask[[6, 8, 10], 0] = 0
    mask[[5, 7, 9, 11, 13], :2] = 0
    found = [measure(np.pad(mask, ((1, 1), (dx, 1))))[0] for dx in range(20)]
    assert found[0].area_px == 64
    assert {(one.method, round(one.length_px, 6), round(one.width_px, 6)) for one in found} == {("rectangle", 16, 5)}


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_the_rectangle_covers_the_area_and_fits_the_box(mask):
    for one in measure(mask):
        x0, y0, x1, y1 = one.box
        assert one.length_px >= one.width_px > 0
        assert one.method == AXIS or one.length_px <= np.hypot(x1 - x0, y1 - y0) + 0.01
        assert one.area_px <= (x1 - x0) * (y1 - y0)


# bands of rows: a picture of 100 megapixels gets the answers of a small one


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 2, 5]), st.data())
def test_rows_have_the_same_bits_in_whatever_band_they_are_made(h, w, channels, data):
    probs = np.random.default_rng(h * w).random((32, 32, channels), np.float32)
    whole, answer = Frame(32).back(probs, h, w), Frame(32).answer(probs, h, w)
    top = data.draw(st.integers(0, h - 1))
    bottom = data.draw(st.integers(top + 1, h))
    assert np.array_equal(answer.rows(top, bottom), whole[top:bottom])
    assert np.array_equal(answer.mask(0.5), decide(whole, 0.5))
    inner_h, inner_w = Frame(32).inner(h, w)
    judge = cv2.resize(np.ascontiguousarray(probs[:inner_h, :inner_w]), (w, h), interpolation=cv2.INTER_LINEAR)
    assert np.abs(whole - judge.reshape(whole.shape)).max() < 1e-4  # its own rounding, by Intel's IPP, is 1e-5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]), st.floats(-3e-6, 3e-6), st.integers(0, 99))
def test_a_mask_that_is_clean_without_a_look_at_each_pixel_is_the_one_with_it(h, w, channels, above, seed):
    probs = np.random.default_rng(seed).random((32, 32, channels), np.float32)
    answer = Frame(32).answer(probs, h, w)
    defect = answer.probs()[..., 0] if channels == 1 else 1.0 - answer.probs()[..., 0]
    for threshold in (float(defect.max()) + above, float(answer.inner[..., 0].max()) + above):
        assert np.array_equal(answer.mask(threshold), decide(answer.probs(), threshold))
    assert "wide" not in vars(clean := Frame(32).answer(probs * 0 + (channels > 1), h, w))
    assert not clean.mask(0.5).any() and "wide" not in vars(clean), "that pictures in order cost nothing is the point"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("band", [1, 100, 1000])
def test_a_picture_in_many_bands_has_the_mask_and_the_defects_of_one(monkeypatch, channels, band):
    probs = cv2.GaussianBlur(np.random.default_rng(0).random((64, 64, channels), np.float32), (0, 0), 2)
    probs = (probs - probs.min()).reshape(64, 64, channels) / np.ptp(probs)

    def look() -> tuple[np.ndarray, tuple[Defect, ...]]:
        answer = Frame(64).answer(probs, 130, 97)
        mask = answer.mask(0.5)
        return mask, find_defects(mask, answer)

    mask, found = look()
    monkeypatch.setattr(frame, "BAND", band)
    assert len(list(Frame(64).answer(probs, 130, 97).bands())) > 5 * (band < 1000)
    again, refound = look()
    assert np.array_equal(mask, again) and found == refound and len(found) > 5


def test_nan_in_any_band_gives_no_mask(monkeypatch):
    monkeypatch.setattr(frame, "BAND", 50)
    probs = np.zeros((32, 32, 1), np.float32)
    probs[31, 31] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Frame(32).answer(probs, 60, 60).mask(0.5)


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_regions_are_those_that_opencv_finds(mask):
    judged = []
    for class_id in (1, 2):
        stats = cv2.connectedComponentsWithStats((mask == class_id).view(np.uint8), connectivity=8)[2][1:]
        judged += [(class_id, area, (x, y, x + w, y + h)) for x, y, w, h, area in stats.tolist()]
    assert sorted((one.class_id, one.area_px, one.box) for one in measure(mask)) == sorted(judged)


def test_a_spiral_is_one_region():
    """The longest way that labels may have to travel."""
    mask = np.zeros((201, 201), np.uint8)
    top, left, bottom, right = 0, 0, 200, 200
    while top < bottom and left < right:
        mask[top, left : right + 1] = mask[top : bottom + 1, right] = mask[bottom, left + 2 : right + 1] = 1
        mask[top + 2 : bottom + 1, left + 2] = 1
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    (one,) = measure(mask)
    assert one.area_px == mask.sum() and one.box == (0, 0, 201, 201)
