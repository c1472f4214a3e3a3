"""Shapes of known size come back with that size: along the axis, around it, in mm, and in grey."""

import itertools
import json
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet import frame
from anet.frame import Answer
from anet.runtime.measuring import shape
from anet.runtime.measuring.axis import _Pixels, axis
from anet.runtime.measuring.measure import Defect, find_defects
from anet.runtime.measuring.shape import AXIS, LIMITED, RECTANGLE
from anet.runtime.measuring.thin import thinned
from tests.test_measure import MASKS, measure


def field(h: int = 230, w: int = 230, cy: float = 112.3, cx: float = 113.6) -> tuple[np.ndarray, np.ndarray]:
    """Give distance and angle (0..360 degrees) of each pixel from a point."""
    ys, xs = np.mgrid[:h, :w]
    return np.hypot(ys - cy, xs - cx), np.degrees(np.arctan2(ys - cy, xs - cx)) % 360


def drawn(points: np.ndarray, width: float, h: int = 200, w: int = 400) -> np.ndarray:
    """Draw a polyline with round ends: all pixels at most half of `width` from it."""
    ys, xs = np.mgrid[:h, :w]
    near = np.full((h, w), np.inf)
    for (ax, ay), (bx, by) in pairwise(points):
        along = ((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
        along = along.clip(0, 1)
        near = np.minimum(near, np.hypot(xs - ax - along * (bx - ax), ys - ay - along * (by - ay)))
    return near <= width / 2


def length(points: np.ndarray) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def runs_of(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    change = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    (row, start), stop = np.nonzero(change == 1), np.nonzero(change == -1)[1]
    return row, start, stop


# the smallest rectangle


def test_turned_rectangles_are_as_large_as_drawn_on_average_and_nearly_all_within_half_a_pixel():
    made = np.random.default_rng(0)
    off = []
    for _ in range(300):
        long = made.uniform(20, 120)
        sides = long, made.uniform(5, min(long - 2, 40))
        found = sides_of(*sides, made.uniform(3, 87), *made.uniform(0, 1, 2))
        off += [(have - is_, max(0.5, is_ / 100)) for have, is_ in zip(found, sides, strict=True)]
    error, allowed = np.array(off).T
    assert abs(error.mean()) < 0.05 and (abs(error) <= allowed).mean() > 0.95


def sides_of(long: float, wide: float, turn: float, dy: float, dx: float) -> tuple[float, float]:
    """Give the sides, longer first, that are found for a rectangle drawn by its pixels' centres."""
    distance, angle = field(200, 200, 100 + dy, 100 + dx)
    along, across = (distance * way(np.radians(angle - turn)) for way in (np.cos, np.sin))
    y, x = np.nonzero((abs(along) <= long / 2) & (abs(across) <= wide / 2))
    return shape.smallest_rectangle(np.stack([x, y], axis=1))[0]


# along the axis


@pytest.mark.parametrize("width", [1.42, 3, 6])
@pytest.mark.parametrize("radius", [20, 60])
def test_a_ring_is_as_long_as_its_middle_and_as_wide_as_drawn(radius, width):
    away, _ = field()
    (one,) = measure(abs(away - radius) <= width / 2)
    assert one.method == AXIS
    assert one.length_px == pytest.approx(2 * np.pi * radius, rel=0.01)
    assert one.width_px == pytest.approx(width, abs=0.5)


@pytest.mark.parametrize("turn", range(0, 360, 50))
@pytest.mark.parametrize("width", [2, 3, 5, 9])
def test_a_long_arc_is_measured_to_a_hundredth_and_half_a_pixel_in_width(width, turn):
    away, angle = field()
    (one,) = measure((abs(away - 80) <= width / 2) & ((angle - turn) % 360 <= 170))
    assert one.method == AXIS
    assert one.length_px == pytest.approx(80 * np.radians(170), rel=0.01)
    assert one.width_px == pytest.approx(width, abs=0.5)


@pytest.mark.parametrize("turn", range(0, 360, 40))
@pytest.mark.parametrize("width", [2, 4])
def test_a_short_arc_is_off_by_a_pixel_at_each_end_at_most(width, turn):
    away, angle = field()
    (one,) = measure((abs(away - 20) <= width / 2) & ((angle - turn) % 360 <= 150))
    assert one.method == AXIS and one.length_px == pytest.approx(20 * np.radians(150), abs=2)


@pytest.mark.parametrize("width", [1.42, 3, 7])
def test_a_wave_is_as_long_as_its_line(width):
    xs = np.linspace(20, 320, 300)
    points = np.stack([xs, 80 + 40 * np.sin(xs / 25)], axis=1)
    (one,) = measure(drawn(points, width))
    assert one.method == AXIS and one.length_px == pytest.approx(length(points) + width, rel=0.01)
    assert one.angle_deg < 20 or one.angle_deg > 160


@pytest.mark.parametrize("width", [2, 5])
def test_a_polyline_is_as_long_as_its_parts(width):
    points = np.array([[20, 20], [120, 60], [180, 150], [300, 170]], float)
    (one,) = measure(drawn(points, width))
    assert one.method == AXIS and one.length_px == pytest.approx(length(points) + width, rel=0.01)


def test_a_line_of_single_pixels_is_measured_along_its_bends():
    points = np.array([[10, 10], [60, 35], [90, 100], [200, 100]])
    mask = np.zeros((130, 220), np.uint8)
    cv2.polylines(mask, [points], False, 1, 1)
    (one,) = measure(mask)
    assert one.method == AXIS and one.length_px == pytest.approx(length(points) + 1, rel=0.01)
    assert 0.7 < one.width_px < 1.1


def test_all_branches_of_a_crack_count():
    mask = np.zeros((120, 160))
    mask[60:63, 10:150] = mask[10:60, 79:82] = 1
    (one,) = measure(mask)
    assert one.method == AXIS and one.length_px == pytest.approx(140 + 51, rel=0.01)
    assert one.width_px == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("turn", range(0, 180, 20))
def test_an_ellipse_and_a_disc_with_pinholes_stay_rectangles(turn):
    mask = np.zeros((200, 200), np.uint8)
    cv2.ellipse(mask, ((100, 100), (120, 70), turn), 1, -1)
    (one,) = measure(mask)
    assert one.method == RECTANGLE
    assert (one.length_px, one.width_px) == (pytest.approx(121, abs=2.5), pytest.approx(71, abs=2.5))
    mask[70:130:30, 70:130:30] = 0
    assert measure(mask)[0].method == RECTANGLE


def test_what_would_cost_too_much_gets_a_rectangle_and_says_so(monkeypatch):
    away, angle = field()
    arc = (abs(away - 80) <= 2) & (angle <= 170)
    monkeypatch.setattr(shape, "BUDGET", int(arc.sum()) + shape.EACH)
    both = np.concatenate([arc, arc], axis=1)
    first, second = measure(both)
    assert (first.method, second.method) == (AXIS, LIMITED)
    assert second.length_px < 165 < 230 < first.length_px


def test_a_scratch_across_many_megapixels_costs_only_its_pixels():
    mask = np.zeros((6000, 7000), np.uint8)
    points = np.array([[100, 100], [3000, 900], [6900, 5900]])
    cv2.polylines(mask, [points], False, 1, 2)
    ends, middles, _ = runs_of(mask)
    (path,) = axis(ends, middles, _)
    assert length(path) == pytest.approx(length(points), rel=0.002)


@settings(max_examples=100, deadline=None)
@given(MASKS, st.integers(1, 4))
def test_all_pixels_at_once_are_thinned_as_a_list_of_them_is(mask, times):
    ends = runs_of(np.kron(mask == 1, np.ones((times, times), bool)))
    if len(ends[0]):
        pixels = _Pixels(*ends)
        assert np.array_equal(thinned(pixels.key, pixels.stride), pixels.thin())


@pytest.mark.parametrize("points", [[[20, 20], [120, 60], [90, 90], [20, 60]], [[30, 30], [90, 31]]])
def test_a_small_box_and_a_large_one_give_the_same_axis(monkeypatch, points):
    ends = runs_of(drawn(np.array(points, float), 6, 110, 140))
    small = axis(*ends)
    monkeypatch.setattr("anet.runtime.measuring.axis.BITS", 0)
    large = axis(*ends)
    assert len(small) == len(large) and all(np.array_equal(a, b) for a, b in zip(small, large, strict=True))


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_every_shape_has_an_axis_of_finite_length_or_none(mask):
    for one in measure(mask.repeat(2, axis=0).repeat(3, axis=1)):
        assert np.isfinite([one.length_px, one.width_px]).all() and one.length_px >= one.width_px > 0
        x0, y0, x1, y1 = one.box
        for path in axis(*(one.runs.T)):
            assert len(path) > 1 and np.isfinite(path).all()
            assert (path.min(axis=0) > (y0 - 2, x0 - 2)).all() and (path.max(axis=0) < (y1 + 1, x1 + 1)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(25, 90), st.integers(2, 7), st.integers(60, 350), st.integers(0, 359))
def test_quarter_turns_and_mirrors_change_no_length_by_more_than_its_ends(radius, width, span, turn):
    away, angle = field()
    mask = (abs(away - radius) <= width / 2) & ((angle - turn) % 360 <= span)
    sizes = []
    for seen in (mask, np.rot90(mask), np.rot90(mask, 2), mask[::-1]):
        (one,) = measure(seen)
        sizes.append((one.length_px, one.width_px * one.length_px, one.area_px))
    for one in sizes[1:]:
        assert one[0] == pytest.approx(sizes[0][0], rel=0.02, abs=2.5)
        assert one[2] == sizes[0][2]


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(1, 9), st.integers(1, 9))
def test_moving_a_region_moves_its_corners_and_outline_and_nothing_else(mask, dy, dx):
    here, there = measure(mask), measure(np.pad(mask, ((dy, 2), (dx, 3))))
    by = np.array([dx, dy])
    for one, two in zip(here, there, strict=True):
        assert two.method == one.method and two.length_px == pytest.approx(one.length_px, abs=0.01)
        assert (np.array(one.contour()) + by).tolist() == [list(point) for point in two.contour()]
        if one.method == RECTANGLE and len({round(c[0], 3) for c in one.corners}) == 2:
            assert two.area_px == one.area_px


# around it


def area_of(points: list[tuple[float, float]]) -> float:
    x, y = np.array(points).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_the_outline_is_exact_and_the_corners_hold_it(mask):
    for one in measure(mask):
        polygon = np.array(one.contour(), np.float32)
        for row, start, stop in one.runs.tolist():
            for x, y in ((start, row), (stop, row), (start, row + 1), (stop, row + 1)):
                assert cv2.pointPolygonTest(polygon, (x, y), True) >= 0  # nothing sticks out
        x0, y0, x1, y1 = one.box
        assert polygon[:, 0].min() == x0 and polygon[:, 1].min() == y0
        assert polygon[:, 0].max() == x1 and polygon[:, 1].max() == y1
        assert len(one.corners) == 4 and area_of(list(one.corners)) > 0


def test_the_outline_of_a_rectangle_is_its_corners_and_a_hole_is_not_in_it():
    mask = np.zeros((60, 70))
    mask[10:30, 20:60] = 1
    mask[15:20, 30:50] = 0
    (one,) = measure(mask)
    assert sorted(one.contour()) == [(20, 10), (20, 30), (60, 10), (60, 30)]
    assert np.allclose(sorted(one.corners), sorted(one.contour()))


@pytest.mark.parametrize("turn", range(0, 180, 15))
def test_the_corners_of_a_turned_rectangle_are_where_they_were_drawn(turn):
    ys, xs = np.mgrid[:201, :201] - 100.0
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    (one,) = measure((abs(xs * c + ys * s) < 60.25) & (abs(ys * c - xs * s) < 10.25))
    drawn_at = [(a * c - b * s + 100.5, a * s + b * c + 100.5) for a in (60.25, -60.25) for b in (10.25, -10.25)]
    for x, y in drawn_at:
        assert min(np.hypot(x - a, y - b) for a, b in one.corners) < 1.2


def test_the_outline_is_given_only_when_asked_and_the_record_is_plain():
    (one,) = measure(np.pad(np.ones((3, 4)), 2))
    assert "contour" not in one.to_dict() and "runs" not in one.to_dict()
    record = json.loads(json.dumps(one.to_dict(contour=True), allow_nan=False))
    assert sorted(record["contour"]) == [[2, 2], [2, 5], [6, 2], [6, 5]]
    assert record["corners"] == [[2, 2], [6, 2], [6, 5], [2, 5]] and record["method"] == RECTANGLE
    assert record["area_mm2"] is record["length_mm"] is record["width_mm"] is record["contrast"] is None
    bare = Defect(1, "a", 1.0, 1.0, 1, (0, 0, 1, 1), (0.0, 0.0), 1.0, 1.0, 0.0, False)
    assert bare.contour() == [] and bare.to_dict(contour=True)["contour"] == []


# in mm


def test_two_axes_stretch_a_rectangle_each_its_own_way():
    mask = np.zeros((60, 70))
    mask[10:30, 20:50] = 1
    (one,) = measure(mask, scale=(0.5, 0.1))
    assert (one.length_px, one.width_px) == (30, 20)
    assert (one.length_mm, one.width_mm, one.area_mm2) == pytest.approx((10, 3, 30))


def test_a_turned_rectangle_seen_by_oblong_pixels_has_its_true_sides():
    ys, xs = np.mgrid[:201, :401] - np.array([100.0, 200.0])[:, None, None]
    c = s = 0.5**0.5
    y, x = ys * 0.11, xs * 0.1
    (one,) = measure((abs(x * c + y * s) < 8) & (abs(y * c - x * s) < 4), scale=(0.11, 0.1))
    assert one.length_mm == pytest.approx(16, abs=0.15) and one.width_mm == pytest.approx(8, abs=0.15)
    assert one.area_mm2 == pytest.approx(128, rel=0.02)


def test_an_arc_seen_by_oblong_pixels_is_as_long_as_it_is():
    ys, xs = np.mgrid[:201, :401] - np.array([100.3, 200.6])[:, None, None]
    away = np.hypot(ys * 0.2, xs * 0.1)
    (one,) = measure(abs(away - 15) <= 0.6, scale=(0.2, 0.1))
    assert one.method == AXIS
    assert one.length_mm == pytest.approx(30 * np.pi, rel=0.01) and one.width_mm == pytest.approx(1.2, rel=0.05)


@pytest.mark.parametrize(("ratio", "share"), [(2, 0.90), (3, 0.90), (4, 0.87), (5, 0.88), (8, 0.81)])
def test_an_ellipse_seen_by_oblong_pixels_is_longer_than_wide_and_nearly_as_long_as_it_spans(ratio, share):
    scale, ways = (0.05 * ratio, 0.05), np.radians(np.arange(180))
    for long, slim, turn in itertools.product((2, 3, 4, 8), (1, 1.3, 1.6, 2.5), range(0, 91, 15)):
        h, w = (round(1.2 * long / mm) + 4 for mm in scale)
        y, x = (np.arange(h)[:, None] + 0.5 - h / 2) * scale[0], (np.arange(w) + 0.5 - w / 2) * scale[1]
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        mask = (x * c + y * s) ** 2 + (slim * (y * c - x * s)) ** 2 < long * long / 4
        (one,) = measure(mask, scale=scale)
        span = np.ptp(np.argwhere(mask) * scale @ [np.sin(ways), np.cos(ways)], axis=0).max()
        assert one.length_mm >= max(one.width_mm - 1e-6, share * span), (long, slim, turn)


@settings(max_examples=40, deadline=None)
@given(MASKS, st.floats(1e-3, 1e3))
def test_one_scale_for_both_axes_multiplies(mask, mm):
    for one in measure(mask, scale=(mm, mm)):
        assert one.length_mm == pytest.approx(one.length_px * mm) and one.width_mm == pytest.approx(one.width_px * mm)
        assert one.area_mm2 == pytest.approx(one.area_px * mm * mm)


# in grey


def test_contrast_is_grey_inside_less_grey_around():
    image = np.full((60, 80, 3), 100, np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    mask[10:20, 10:30], image[10:20, 10:30] = 1, 40
    mask[40:50, 40:60], image[40:50, 40:60] = 1, 230
    mask[15, 32:34], image[15, 32:34] = 1, 0  # beside the first: its own grey is no surroundings
    found = {one.box[:2]: one.contrast for one in measure(mask, image=image)}
    assert found == {(10, 10): -60, (40, 40): 130, (32, 15): -100}


def test_where_all_is_defect_there_is_no_contrast():
    assert measure(np.ones((20, 30)), image=np.zeros((20, 30, 3), np.uint8))[0].contrast is None


@pytest.mark.parametrize("band", [1, 300, 2000])
def test_contrast_is_the_same_in_bands_and_its_regions_are_those_above_the_smallest_area(monkeypatch, band):
    chance = np.random.default_rng(0)
    mask = cv2.GaussianBlur(chance.random((90, 110), np.float32), (0, 0), 3) > 0.52
    image = chance.integers(0, 256, (90, 110, 3), np.uint8)
    whole = measure(mask, image=image, min_area_px=9)
    monkeypatch.setattr(frame, "BAND", band)
    assert measure(mask, image=image, min_area_px=9) == whole and len(whole) > 5


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(0, 9))
def test_contrast_is_what_counting_pixel_by_pixel_gives(mask, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    found = find_defects(mask, Answer(np.ones((*mask.shape, 3), np.float32), *mask.shape), image=image)
    if len(found) == 1:  # of several, a clean pixel counts for the nearest
        away = cv2.distanceTransform((mask == 0).view(np.uint8), cv2.DIST_L2, 5)
        ring = (away > 0) & (away <= 5)
        expected = grey[mask > 0].mean() - grey[ring].mean() if ring.any() else None
        assert found[0].contrast == (pytest.approx(expected) if expected is not None else None)
