"""Outlines and whole defects: boundary F and recall by size, against plain definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anet.frame import IGNORE
from anet.scoring.boundary import TOLERANCE, boundary_f, outline
from anet.scoring.defects import SIZES_PX, count_defects, rows_by_size
from anet.scoring.evaluate import evaluate

fast = settings(max_examples=60, deadline=None)
masks = arrays.arrays(np.uint8, (9, 11), elements=st.sampled_from((0, 0, 0, 1, 2)))
truths = arrays.arrays(np.uint8, (9, 11), elements=st.sampled_from((0, 0, 1, 2, IGNORE)))


def square(y, x, side, shape=(100, 100)):
    drawn = np.zeros(shape, np.uint8)
    drawn[y : y + side, x : x + side] = 1
    return drawn


def slow_outline(inside, labelled):
    found = np.zeros_like(inside)
    for y, x in np.argwhere(inside & labelled):
        near = np.s_[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        found[y, x] = (labelled[near] & ~inside[near]).any()
    return found


def slow_f(pred, target, class_id):
    labelled, reach = target != IGNORE, max(1.0, TOLERANCE * math.hypot(*target.shape))
    mine, true = (np.argwhere(slow_outline(one == class_id, labelled)) for one in (pred, target))
    if not len(mine) or not len(true):
        return None if len(mine) == len(true) else 0.0
    apart = np.hypot(*(mine[:, None] - true[None]).transpose(2, 0, 1))
    precision, recall = (apart.min(1) <= reach).mean(), (apart.min(0) <= reach).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(masks, truths)
@fast
def test_boundary_f_is_what_its_definition_gives_pixel_by_pixel(pred, target):
    assert boundary_f(pred, target, 3) == pytest.approx([slow_f(pred, target, k) for k in range(3)])


@given(masks)
@fast
def test_an_answer_that_is_the_truth_hits_every_outline_and_defect(target):
    assert set(boundary_f(target, target, 3)) <= {None, 1.0}
    found = count_defects(target, target, 3)
    assert (found[:, 0] == found[:, 1]).all() and (found[:, 0] == found[:, 2]).all()


def test_the_tolerance_is_a_share_of_the_diagonal():
    # 0.75 % of 400 x 300 is 3.75 pixels: a square that lies 3 aside is hit, one that lies 9 aside only where sides lie
    # along each other
    truth = square(100, 100, 60, (300, 400))
    assert boundary_f(square(100, 103, 60, (300, 400)), truth, 2)[1] == 1.0
    assert 0.3 < boundary_f(square(100, 109, 60, (300, 400)), truth, 2)[1] < 0.7
    assert boundary_f(square(10, 300, 60, (300, 400)), truth, 2)[1] == 0.0


def test_the_edge_of_the_picture_and_of_what_is_labelled_is_no_outline():
    everywhere = np.ones((20, 20), np.uint8)
    assert boundary_f(everywhere, everywhere, 2) == (None, None)
    half = everywhere.copy()
    half[:, 10:] = IGNORE
    assert not outline(half == 1, half != IGNORE).any()


@given(masks, truths)
@fast
def test_more_defects_are_touched_than_covered_and_no_more_than_there_are(pred, target):
    every, touched, covered = count_defects(pred, target, 3).sum(axis=0)
    assert covered <= touched <= every


def test_defects_are_sorted_by_their_pixels_and_counted_once_each():
    target, pred = square(0, 0, 3) + square(50, 50, 40), square(2, 2, 1) + square(50, 50, 10)  # 9 and 1600 pixels
    rows = {row.from_px: row for row in rows_by_size([count_defects(pred, target, 2)] * 2)}
    assert list(rows) == list(SIZES_PX) and rows[4096].below_px is None
    assert (rows[0].defects, rows[0].touched, rows[0].covered) == (2, 2, 0)
    assert (rows[1024].defects, rows[1024].touched, rows[1024].recall, rows[1024].recall_half) == (2, 2, 1.0, 0.0)
    assert rows[16].defects == 0 and rows[16].recall is None


@pytest.mark.parametrize("side", [4, 8, 16, 32, 64])
def test_a_row_begins_with_its_smallest_size(side):
    row = count_defects(square(0, 0, side), square(0, 0, side), 2)[:, 0]
    assert SIZES_PX[int(row.argmax())] == side**2


def test_a_defect_of_another_class_than_said_is_seen_all_the_same():
    target = square(5, 5, 4)
    assert count_defects(target * 2, target, 3)[:, 2].sum() == 1


class Case:
    name = "one"

    def read(self, classes):
        return np.zeros((100, 100, 3), np.uint8), square(50, 50, 40)


def test_evaluate_looks_closely_only_when_asked():
    plain = evaluate(lambda image: square(50, 50, 40), [Case()], 2)
    close = evaluate(lambda image: square(50, 50, 40), [Case(), Case()], 2, closely=True)
    assert plain.closely is None and "closely" not in plain.to_dict()
    assert close.closely.boundary_f == (1.0, 1.0) and close.to_dict()["closely"]["by_size"][4]["defects"] == 2


def test_no_picture_at_all_has_no_outline_and_no_defect():
    close = evaluate(lambda image: image, [], 2, closely=True).closely
    assert close.boundary_f == (None, None) and sum(row.defects for row in close.by_size) == 0
