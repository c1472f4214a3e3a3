"""A pixel belongs to an outline when its centre lies inside; the smaller object wins."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as oracle

from anet.data.labels.polygons import draw, fill, line, polygon
from tests.labels import H, W


@given(st.integers(0, 12), st.integers(0, 9), st.integers(1, 20), st.integers(1, 15))
def test_a_rectangle_of_whole_numbers_covers_exactly_its_pixels(x, y, w, h):
    points = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)
    expected = np.zeros((H, W), bool)
    expected[y : y + h, x : x + w] = True
    assert np.array_equal(draw((polygon("a", "", [points]),), {"a": 1}, H, W).mask == 1, expected)


@settings(deadline=None, max_examples=60)
@given(arrays(np.uint8, (6, 8), elements=st.integers(0, 1)))
def test_outlines_of_any_mask_fill_to_the_same_mask(small):
    contours, _ = cv2.findContours(
        cv2.resize(small, None, fx=2, fy=2, interpolation=0), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros(small.shape, bool)
    for contour in contours:  # holes are outlines, too: even-odd over all
        pixels, (h, w) = (contour[:, 0, :] + 0.5) / 2, small.shape
        y, x, crop = fill(pixels, h, w)
        outline = cv2.pointPolygonTest
        for cy, cx in np.argwhere(np.ones((h, w), bool)):
            inside = outline(contour.astype(np.float32), (2 * cx + 0.5, 2 * cy + 0.5), False)
            if inside:  # not on the line itself
                got = y <= cy < y + crop.shape[0] and x <= cx < x + crop.shape[1] and crop[cy - y, cx - x]
                assert got == (inside > 0)
        filled[y : y + crop.shape[0], x : x + crop.shape[1]] |= crop
    assert (filled | (small == 0)).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, W), st.floats(0, H)), min_size=3, max_size=3))
def test_triangles_agree_with_pycocotools_within_the_border(points):
    points = np.array(points)
    ours = draw((polygon("a", "", [points]),), {"a": 1}, H, W).mask
    theirs = oracle.decode(oracle.merge(oracle.frPyObjects([points.ravel().tolist()], H, W)))
    border = np.zeros((H, W), np.uint8)
    cv2.polylines(border, [np.round((points - 0.5) * 256).astype(np.int32).reshape(-1, 1, 2)], True, 1, 3, shift=8)
    assert not ((ours != theirs) & (border == 0)).any()


def test_the_smaller_object_wins_whatever_the_order_in_the_file():
    big, small = np.array([[0, 0], [20, 0], [20, 20], [0, 20.0]]), np.array([[5, 5], [8, 5], [8, 8], [5, 8.0]])
    shapes = (polygon("small", "", [small]), polygon("big", "", [big]))
    for order in (shapes, shapes[::-1]):
        mask = draw(order, {"big": 1, "small": 2}, H, W).mask
        assert (mask == 2).sum() == 9 and (mask == 1).sum() == 400 - 9


def test_a_hair_crack_between_pixel_centres_is_drawn_and_said():
    thin = np.array([[2.6, 1.0], [3.4, 1.0], [3.4, 20.0], [2.6, 20.0]])
    drawn = draw((polygon("a", "", [thin]),), {"a": 1}, H, W)
    assert len(drawn.thin) == 1 and drawn.mask.any(axis=1)[2:19].all()


def test_a_line_is_as_wide_as_stated():
    mask = draw((line("a", "", np.array([[2, 10.5], [30, 10.5]]), 3),), {"a": 1}, H, W).mask
    assert mask[:, 10:20].sum(axis=0).tolist() == [3] * 10
