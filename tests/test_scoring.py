"""Scores from counts, the one scoring path, and the threshold; torchmetrics is the oracle."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchmetrics.classification import MulticlassJaccardIndex, MulticlassPrecision, MulticlassRecall
from torchmetrics.segmentation import DiceScore

from anet.errors import DataError
from anet.frame import IGNORE, decide
from anet.scoring.evaluate import evaluate
from anet.scoring.metrics import confusion, outcome, score
from anet.scoring.threshold import choose_threshold

fast = settings(max_examples=40, deadline=None)


@dataclass
class Case:
    """A sample in memory: what `evaluate` and `choose_threshold` ask of one."""

    name: str
    image: np.ndarray
    target: np.ndarray

    def read(self, classes):
        return self.image, self.target


def mask(high, ignore=False):
    ids = st.integers(0, high - 1) | st.just(255) if ignore else st.integers(0, high - 1)
    return arrays.arrays(np.uint8, (4, 5), elements=ids)


def pictures(high=3):
    return st.lists(st.tuples(mask(high), mask(high, ignore=True)), min_size=1, max_size=4)


def scored(pairs, classes=3):
    return score([confusion(pred, target, classes) for pred, target in pairs], classes)


# --- against torchmetrics ---


@given(pictures())
@fast
def test_ratios_over_the_set_are_those_of_torchmetrics(pairs):
    ours = scored(pairs)
    pred, target = (torch.tensor(np.stack(side)).long() for side in zip(*pairs, strict=True))
    for figure, oracle in (
        (ours.iou, MulticlassJaccardIndex),
        (ours.precision, MulticlassPrecision),
        (ours.recall, MulticlassRecall),
    ):
        kwargs = {"average": "none", "validate_args": False} if oracle is MulticlassJaccardIndex else {"average": None}
        theirs = oracle(3, ignore_index=255, **kwargs)(pred, target)
        for mine, other in zip(figure, theirs, strict=True):
            assert (0.0 if mine is None else mine) == pytest.approx(
                float(other), abs=1e-6
            )  # torchmetrics gives 0 for 0/0


def test_dice_over_the_set_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    pred, target = rng.integers(0, 3, (2, 6, 16, 16)).astype(np.uint8)
    oracle = DiceScore(3, include_background=True, average="none", aggregation_level="global", input_format="index")
    theirs = oracle(torch.tensor(pred).long(), torch.tensor(target).long())
    assert scored(list(zip(pred, target, strict=True))).dice == pytest.approx(theirs.tolist(), abs=1e-6)


# --- laws ---


@given(pictures(), st.randoms())
@fast
def test_the_order_of_pictures_changes_nothing(pairs, random):
    mixed = list(pairs)
    random.shuffle(mixed)
    one, other = scored(pairs).to_dict(), scored(mixed).to_dict()
    assert one.pop("iou_mean_pictures") == pytest.approx(other.pop("iou_mean_pictures"))  # a float sum has an order
    assert one == other


@given(pictures())
@fast
def test_counts_of_pictures_add_up_to_those_of_the_set(pairs):
    total = sum(confusion(pred, target, 3) for pred, target in pairs)
    whole = confusion(*(np.concatenate(side) for side in zip(*pairs, strict=True)), 3)
    assert (total == whole).all()
    assert scored(pairs).confusion == tuple(map(tuple, whole.tolist()))
    assert scored(pairs).pixels == sum(int((target != 255).sum()) for _, target in pairs)


@given(pictures())
@fast
def test_turning_pictures_over_changes_nothing(pairs):
    assert scored([(pred.T, target.T) for pred, target in pairs]) == scored(pairs)


@given(st.lists(st.tuples(mask(3), mask(3)), min_size=1, max_size=4))
@fast
def test_exchanging_truth_and_prediction_exchanges_precision_and_recall_only(pairs):
    one, other = scored(pairs), scored([(target, pred) for pred, target in pairs])
    assert (one.iou, one.dice, one.miou) == (other.iou, other.dice, other.miou)
    assert (one.precision, one.recall) == (other.recall, other.precision)


@given(pictures())
@fast
def test_iou_is_dice_over_two_minus_dice(pairs):
    result = scored(pairs)
    for iou, dice in zip(result.iou, result.dice, strict=True):
        assert (iou is None) == (dice is None)
        assert iou is None or iou == pytest.approx(dice / (2 - dice))


@given(pictures())
@fast
def test_every_picture_is_counted_once(pairs):
    result = scored(pairs)
    blank = sum((target == 255).all() for _, target in pairs)
    assert result.defect_pictures + result.sound_pictures + blank == result.pictures == len(pairs)
    assert result.escapes + result.off_target <= result.defect_pictures
    assert result.false_defects <= result.sound_pictures


@given(mask(3), mask(3, ignore=True), mask(3))
@fast
def test_what_is_predicted_on_ignored_pixels_counts_nowhere(pred, target, other):
    changed = np.where(target == 255, other, pred)
    assert (confusion(pred, target, 3) == confusion(changed, target, 3)).all()


@given(pictures())
@fast
def test_scores_are_json_without_nan(pairs):
    text = json.dumps(scored(pairs).to_dict(), allow_nan=False)
    assert json.loads(text)["pictures"] == len(pairs)


# --- by hand ---


def test_equation_8_by_hand():
    target = np.array([[0, 0, 1, 1, 255]], np.uint8)
    pred = np.array([[0, 1, 1, 0, 1]], np.uint8)
    result = scored([(pred, target)], classes=2)
    assert result.confusion == ((1, 1), (1, 1))
    assert result.iou == (1 / 3, 1 / 3)
    assert result.dice == result.precision == result.recall == (0.5, 0.5)
    assert (result.truth_px, result.pred_px, result.pixels) == ((2, 2), (2, 2), 4)


def test_a_class_that_is_nowhere_has_no_ratio_and_leaves_the_mean_alone():
    target, pred = np.array([[0, 1]], np.uint8), np.array([[0, 1]], np.uint8)
    result = scored([(pred, target)], classes=3)
    assert result.iou == (1.0, 1.0, None)
    assert (result.dice[2], result.precision[2], result.recall[2], result.iou_mean_pictures[2]) == (None,) * 4
    assert result.miou == result.miou_with_background == 1.0


def test_a_set_without_pictures_has_no_ratios():
    result = score([], 2)
    assert (result.pictures, result.pixels, result.iou, result.miou) == (0, 0, (None, None), None)


def test_the_mean_over_pictures_leaves_out_sound_pictures_answered_by_silence():
    half = (np.array([[1, 0]], np.uint8), np.array([[1, 1]], np.uint8))  # 0.5
    silent = (np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.uint8))
    false = (np.array([[1, 0]], np.uint8), np.zeros((1, 2), np.uint8))  # 0.0
    assert scored([half, silent, silent], 2).iou_mean_pictures[1] == 0.5
    assert scored([half, silent, false], 2).iou_mean_pictures[1] == 0.25
    assert scored([half, false], 2).iou[1] == pytest.approx(1 / 3)


def test_miou_is_without_background_and_said_so_when_with_it():
    target, pred = np.array([[0, 0, 0, 1]], np.uint8), np.array([[0, 0, 1, 1]], np.uint8)
    result = scored([(pred, target)], 2)
    assert result.miou == result.iou[1] == 0.5
    assert result.miou_with_background == pytest.approx((2 / 3 + 0.5) / 2)


@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        ([0, 1], [0, 1], "hit"),
        ([0, 2], [0, 1], "hit"),
        ([0, 0], [0, 1], "escape"),
        ([1, 0], [0, 1], "off_target"),
        ([0, 0], [0, 0], "sound"),
        ([1, 0], [0, 0], "false_defect"),
        ([1, 0], [255, 255], "unlabelled"),
        ([1, 0], [255, 0], "sound"),
        ([1, 0], [255, 1], "escape"),
    ],
)
def test_what_a_picture_means_at_the_line(pred, target, expected):
    assert outcome(confusion(np.array([pred], np.uint8), np.array([target], np.uint8), 3)) == expected


def test_many_classes_do_not_overflow_a_byte():
    ids = np.arange(25, dtype=np.uint8).reshape(5, 5)
    assert (confusion(ids, ids, 25) == np.eye(25)).all()


@pytest.mark.parametrize("what", ["prediction", "truth"])
@pytest.mark.parametrize("wrong", [2, 254])
def test_an_id_that_is_no_class_is_refused(what, wrong):
    good, bad = np.zeros((2, 2), np.uint8), np.full((2, 2), wrong, np.uint8)
    pair = (bad, good) if what == "prediction" else (good, bad)
    with pytest.raises(DataError, match=f"{what} holds class {wrong}: only 0 to 1 exist"):
        confusion(*pair, 2)


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ValueError, match="prediction is"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


# --- evaluate ---


def cases(targets, images=None):
    images = images or [np.zeros((*target.shape, 3), np.uint8) for target in targets]
    return [Case(f"picture-{i}", image, target) for i, (image, target) in enumerate(zip(images, targets, strict=True))]


def test_evaluate_scores_any_function_from_picture_to_mask():
    targets = [np.array([[0, 1, 1]], np.uint8), np.zeros((2, 2), np.uint8)]
    images = [np.repeat(np.array([[0, 9, 0]], np.uint8)[..., None], 3, axis=2), np.zeros((2, 2, 3), np.uint8)]
    result = evaluate(lambda image: (image[..., 0] > 5).astype(np.uint8), cases(targets, images), 2)
    first, second = result.pictures
    assert (first.name, first.outcome, first.iou, first.truth_px, first.pred_px, first.hit_px) == (
        "picture-0",
        "hit",
        0.5,
        2,
        1,
        1,
    )
    assert (second.outcome, second.iou) == ("sound", None)
    assert (result.scores.pictures, result.scores.iou[1]) == (2, 0.5)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["pictures"][0]["name"] == "picture-0"


def test_evaluate_reads_one_picture_after_the_other():
    log = []

    def samples():
        for case in cases([np.zeros((2, 2), np.uint8)] * 3):
            log.append("read")
            yield case

    def predict(image):
        log.append("predict")
        return np.zeros((2, 2), np.uint8)

    evaluate(predict, samples(), 2)
    assert log == ["read", "predict"] * 3


def test_the_worst_picture_comes_first_and_sound_ones_last():
    target = np.array([[1, 1]], np.uint8)
    answers = iter(
        [
            np.array([[1, 1]], np.uint8),
            np.zeros((1, 2), np.uint8),
            np.array([[0, 0]], np.uint8),
            np.array([[1, 0]], np.uint8),
        ]
    )
    samples = cases([target, np.zeros((1, 2), np.uint8), target, target])
    result = evaluate(lambda image: next(answers), samples, 2)
    assert [one.name for one in result.worst_first()] == ["picture-2", "picture-3", "picture-0", "picture-1"]


# --- threshold ---

probabilities = arrays.arrays(
    np.float32, (4, 5, 1), elements=st.floats(0, 1, width=32) | st.sampled_from([k / 1024 for k in range(0, 1025, 64)])
)


@given(st.lists(st.tuples(probabilities, mask(2, ignore=True)), min_size=1, max_size=3))
@fast
def test_the_curve_is_what_deciding_and_scoring_at_each_threshold_gives(pairs):
    answers = iter([probs for probs, _ in pairs])
    result = choose_threshold(lambda image: next(answers), cases([target for _, target in pairs]), 2)
    for k in (0, 1, 64, 512, 700, 1023):
        at_k = scored([(decide(probs, k / 1024), target) for probs, target in pairs], 2)
        assert result.curve[k] == at_k.iou[1]
        if result.chosen == "validation":
            assert both_ious(pairs, result.value) >= both_ious(pairs, k / 1024) - 1e-12
    chosen = scored([(decide(probs, result.value), target) for probs, target in pairs], 2)
    assert chosen.iou[1] == result.iou
    if result.chosen == "default":
        assert result.value == 0.5


def both_ious(pairs, threshold):
    """IoU from summed counts plus the mean IoU of the pictures with a defect."""
    decided = [(decide(probs, threshold), target) for probs, target in pairs]
    each = [scored([pair], 2).iou[1] for pair in decided if ((pair[1] != 0) & (pair[1] != IGNORE)).any()]
    return scored(decided, 2).iou[1] + sum(each) / len(each)


def test_one_missed_giant_does_not_make_everything_a_defect():
    """By the summed IoU alone, the best threshold here calls every pixel of every picture a defect."""
    small, giant = np.zeros((10, 10), np.uint8), np.ones((10, 10), np.uint8)
    small[4:6, 4:6] = 1
    seen = np.where(small, 0.9, 0.1).astype(np.float32)[..., None]
    blind = np.full((10, 10, 1), 0.05, np.float32)
    answers = iter([seen, seen, seen, blind])
    result = choose_threshold(lambda image: next(answers), cases([small, small, small, giant]), 2)
    assert max(result.curve) == result.curve[0] > result.iou
    assert 0.1 <= result.value < 0.9


def test_the_middle_of_the_plateau_is_taken():
    target = np.array([[0, 0, 1, 1]], np.uint8)
    probs = np.array([[0.1, 0.25, 0.75, 0.9]], np.float32)[..., None]
    result = choose_threshold(lambda image: probs, cases([target]), 2)
    assert (result.value, result.iou, result.chosen) == (511 / 1024, 1.0, "validation")
    assert (result.pictures, result.defect_px, result.background_px) == (1, 2, 2)


def test_the_longest_plateau_wins():
    target = np.array([[0, 1, 0, 1]], np.uint8)
    probs = np.array([[0.8, 0.9, 0.1, 0.7]], np.float32)[..., None]  # 0.1..0.7: 2/3; above 0.8: 1/2
    result = choose_threshold(lambda image: probs, cases([target]), 2)
    assert 0.1 < result.value < 0.7
    assert result.iou == pytest.approx(2 / 3)


def test_several_channels_are_thresholded_on_not_background():
    target = np.array([[0, 2, 1]], np.uint8)
    probs = np.array([[[0.9, 0.1, 0.0], [0.6, 0.1, 0.3], [0.5, 0.25, 0.25]]], np.float32)
    result = choose_threshold(lambda image: probs, cases([target]), 3)
    assert 0.1 <= result.value < 0.4
    assert result.iou == 1.0


@pytest.mark.parametrize(
    "targets",
    [[], [np.zeros((2, 2), np.uint8)], [np.full((2, 2), 255, np.uint8)]],
    ids=["no pictures", "sound pictures only", "nothing labelled"],
)
def test_validation_without_a_defect_gives_the_default_and_says_so(targets):
    result = choose_threshold(lambda image: np.full((2, 2, 1), 0.2, np.float32), cases(targets), 2)
    assert (result.value, result.chosen, result.pictures) == (0.5, "default", len(targets))
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_a_network_that_finds_nothing_at_any_threshold_gives_the_default():
    result = choose_threshold(lambda image: np.zeros((1, 2, 1), np.float32), cases([np.ones((1, 2), np.uint8)]), 2)
    assert (result.value, result.chosen, result.iou) == (0.5, "default", 0.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_never_counted_as_a_probability(bad):
    probs = np.full((2, 2, 1), bad, np.float32)
    with pytest.raises(ValueError, match="NaN"):
        choose_threshold(lambda image: probs, cases([np.zeros((2, 2), np.uint8)]), 2)


def test_probabilities_of_another_size_are_refused():
    with pytest.raises(ValueError, match="probabilities are"):
        choose_threshold(lambda image: np.zeros((1, 2, 1), np.float32), cases([np.zeros((2, 2), np.uint8)]), 2)
