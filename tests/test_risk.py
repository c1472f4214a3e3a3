"""Threshold and smallest area by what they cost: exact bounds, regions as the runtime sees them, honest refusals."""

import dataclasses
import io
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console
from typer.testing import CliRunner

from anet.cli import app
from anet.errors import DataError, ModelError, OptionError
from anet.evaluation import evaluate_model
from anet.frame import IGNORE, Frame, decide
from anet.image import write_png
from anet.operating import Operating, choose_operating, print_operating, write_point
from anet.runtime.card import CARD, read_bundle, read_card
from anet.runtime.inspector import Inspector
from anet.runtime.measuring.measure import find_defects
from anet.scoring.bounds import clopper_pearson, measured, most_allowed, needed, upper
from anet.scoring.regions import THRESHOLDS, Survey, largest_regions, survey, without_small
from anet.scoring.risk import AREAS, Aim, choose, point_at
from anet.training.checkpoint import Facts, load_model, save_model
from tests.test_export import MEAN, SIZE, STD, exported, network

fast = settings(max_examples=25, deadline=None)


@dataclass
class Case:
    """A sample in memory, whose picture holds the model's answer in steps of 1/256."""

    image: np.ndarray
    target: np.ndarray
    name: str = ""

    def read(self, classes):
        return self.image, self.target


def answered(image: np.ndarray) -> np.ndarray:
    return image[..., :1].astype(np.float32) / 256


def seen_at(found, sound, touching=None) -> Survey:
    """Make a survey in which each picture's largest region has one area up to a threshold, and none above it."""

    def table(rows) -> np.ndarray:
        made = [[area if threshold < end else 0 for threshold in THRESHOLDS] for area, end in rows]
        return np.array(made, np.int64).reshape(-1, len(THRESHOLDS))

    return Survey(THRESHOLDS, table(found), table(found if touching is None else touching), table(sound))


# bounds


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1), (2, 20, 0.0123, 0.3170),
     (1, 100, 0.00025, 0.0545), (0, 0, 0, 1)],
)  # fmt: skip
def test_the_two_sided_bounds_are_those_of_printed_tables(count, of, low, high):
    assert clopper_pearson(count, of, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_without_a_miss_the_upper_bound_has_a_closed_form():
    for of in (1, 30, 299, 100_000):
        assert upper(0, of, 0.05) == pytest.approx(1 - 0.05 ** (1 / of), rel=1e-9)


@given(st.integers(1, 25), st.floats(0.001, 0.999), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@fast
def test_the_interval_covers_the_true_rate_at_least_as_often_as_promised(of, rate, confidence):
    two_sided = one_sided = 0.0
    for count in range(of + 1):
        chance = math.comb(of, count) * rate**count * (1 - rate) ** (of - count)
        result = measured(count, of, confidence)
        two_sided += chance * (result.low <= rate <= result.high)
        one_sided += chance * (rate <= result.at_most)
    assert two_sided >= confidence - 1e-9
    assert one_sided >= confidence - 1e-9


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.001, 0.999))
@fast
def test_what_is_allowed_is_what_the_upper_bound_shows(count, more, limit):
    of = count + more
    bound = upper(count, of, 0.05)
    if abs(bound - limit) > 1e-9:
        assert (count <= most_allowed(limit, of, 0.95)) == (bound <= limit)


@given(st.integers(0, 4), st.floats(0.002, 0.5))
@fast
def test_the_number_needed_is_the_smallest_that_shows_the_limit(count, limit):
    of = needed(limit, 0.95, count)
    assert upper(count, of, 0.05) <= limit * (1 + 1e-9)
    assert of - 1 == count or upper(count, of - 1, 0.05) > limit * (1 - 1e-9)


def test_the_known_numbers_that_show_a_rate_without_a_miss():
    assert [needed(limit, 0.95) for limit in (0.1, 0.01, 0.001)] == [29, 299, 2995]
    assert (most_allowed(0.01, 298, 0.95), most_allowed(0.01, 299, 0.95), most_allowed(0.01, 0, 0.95)) == (-1, 0, -1)


def test_extreme_limits_and_numbers_stay_exact():
    assert needed(1e-9, 0.95) == math.ceil(math.log(0.05) / math.log1p(-1e-9))
    assert 0.0048 < upper(450, 100_000, 0.05) < 0.0049
    assert 0 < upper(0, 10**9, 0.05) < 3.1e-9


@pytest.mark.parametrize(("count", "of"), [(-1, 5), (6, 5)])
def test_a_count_outside_its_pictures_is_refused(count, of):
    with pytest.raises(ValueError, match="is no count"):
        upper(count, of, 0.05)


# regions


@given(st.integers(0, 2**32), st.sampled_from([1, 3]))
@fast
def test_the_largest_region_is_that_of_the_runtime(seed, channels):
    rng = np.random.default_rng(seed)
    framed = rng.dirichlet(np.ones(channels), (32, 32)) if channels > 1 else rng.random((32, 32, 1))
    answer = Frame(32).answer(framed.astype(np.float32), 20, 32)
    everywhere = np.ones((20, 32), bool)
    for threshold in (THRESHOLDS[0], 0.25, 0.75):
        mask = answer.mask(threshold)
        wanted = max((one.area_px for one in find_defects(mask, answer)), default=0)
        assert largest_regions(answer.probs(), (everywhere,), (threshold,)).tolist() == [[wanted]]


@given(st.integers(0, 2**32))
@fast
def test_a_higher_threshold_never_makes_the_largest_region_larger(seed):
    rng = np.random.default_rng(seed)
    places = (np.ones((12, 9), bool), rng.random((12, 9)) < 0.1)
    areas = largest_regions(rng.random((12, 9, 1)).astype(np.float32), places, THRESHOLDS)
    assert (np.diff(areas, axis=0) <= 0).all() and (areas[:, 1] <= areas[:, 0]).all()


def test_a_region_beside_the_defect_touches_nothing_and_one_in_ignored_pixels_does_not_count():
    image, target = np.zeros((6, 6, 3), np.uint8), np.zeros((6, 6), np.uint8)
    image[0, :4] = 128
    target[5] = 1
    ignored = np.where(image[..., 0] > 0, IGNORE, 0).astype(np.uint8)
    blank = np.full((6, 6), IGNORE, np.uint8)
    seen = survey(answered, [Case(image, target), Case(image, ignored), Case(image, blank)], 2)
    below = THRESHOLDS.index(0.25)
    assert (seen.found[0, below], seen.touching[0, below], seen.sound.tolist()) == (4, 0, [[0] * len(THRESHOLDS)])
    assert seen.found[0, THRESHOLDS.index(0.5)] == 0  # the mask is what exceeds the threshold


def test_counting_by_survey_is_deciding_and_measuring_each_picture():
    rng = np.random.default_rng(3)
    cases = [Case(rng.integers(0, 256, (9, 9, 3), np.uint8), np.full((9, 9), n % 2, np.uint8)) for n in range(8)]
    seen, aim = survey(answered, cases, 2, (3 / 1024,)), Aim(max_escape=0.5)
    for threshold, area in ((3 / 1024, 81), (0.5, 5), (0.75, 3), (THRESHOLDS[-1], 0)):
        largest = [largest_regions(answered(one.image), (one.target < 2,), (threshold,))[0, 0] for one in cases]
        rejected = [size >= max(1, area) for size in largest]
        point = point_at(seen, threshold, area, aim)
        assert point.escapes.count == sum(not one for one in rejected[1::2])
        assert point.false_rejects.count == sum(rejected[::2])
        if not area:
            masks = [decide(answered(one.image), threshold).any() for one in cases]
            assert masks == rejected


def test_a_threshold_between_the_levels_is_refused():
    with pytest.raises(ValueError, match="no whole multiple"):
        survey(answered, [Case(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))], 2, (0.1,))


def test_nan_is_never_a_region():
    with pytest.raises(ValueError, match="NaN"):
        largest_regions(np.full((2, 2, 1), np.nan, np.float32), (np.ones((2, 2), bool),), (0.5,))


# the choice


areas = st.tuples(st.integers(0, 60), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0]))


@given(st.lists(areas, min_size=1, max_size=8), st.lists(areas, max_size=8), st.sampled_from([
    Aim(max_escape=0.6), Aim(max_false=0.6), Aim(max_escape=0.7, max_false=0.7), Aim(cost_miss=50, cost_false=1),
    Aim(cost_miss=1, cost_false=3, defect_share=0.01), Aim(max_escape=0.7, cost_miss=1, cost_false=9, confidence=0.5),
]))  # fmt: skip
@fast
def test_no_point_that_shows_the_limits_is_better_than_the_chosen_one(found, sound, aim):
    seen = seen_at(found, sound)
    choice = choose(seen, aim)
    every = [point_at(seen, threshold, area, aim) for threshold in THRESHOLDS[::16] for area in AREAS[:12:4]]
    shown = [
        one
        for one in every
        if one.escapes.at_most <= (aim.max_escape or 1) and one.false_rejects.at_most <= (aim.max_false or 1)
    ]
    if choice.chosen is None:
        assert choice.refusal and (not shown or not sound)
        return

    def goal(one):
        if aim.cost_miss:
            return one.cost
        both = one.false_rejects.count, one.escapes.count
        return both if aim.max_false is None else both[::-1]

    assert choice.chosen.escapes.at_most <= (aim.max_escape or 1)
    assert choice.chosen.false_rejects.at_most <= (aim.max_false or 1)
    assert all(goal(choice.chosen) <= goal(one) for one in shown)


@given(st.lists(areas, min_size=1, max_size=8), st.lists(areas, min_size=1, max_size=8))
@fast
def test_the_trade_off_has_no_row_that_another_beats(found, sound):
    rows = choose(seen_at(found, sound), Aim(cost_miss=1, cost_false=1)).rows
    misses, rejects = ([getattr(row, name).count for row in rows] for name in ("escapes", "false_rejects"))
    assert misses == sorted(set(misses)) and rejects == sorted(set(rejects), reverse=True)


def test_the_middle_of_the_widest_plateau_is_taken_with_the_smallest_area_that_has_it():
    seen = seen_at([(100, 0.75)] * 60, [(5, 0.5)] * 60)
    chosen = choose(seen, Aim(max_escape=0.05)).chosen
    assert (chosen.threshold, chosen.min_area_px) == (48 / 128, 6)  # 6: from 1/128 to 0.74; below 6 only from 0.5
    assert chosen.escapes.count == chosen.false_rejects.count == 0


def test_of_equally_good_points_those_that_find_the_defect_itself_are_taken_at_the_smallest_area_with_room():
    seen = seen_at([(100, 0.9)] * 20, [(0, 0.0)] * 20, touching=[(100, 0.5)] * 20)
    chosen = choose(seen, Aim(cost_miss=100, cost_false=1)).chosen
    assert (chosen.threshold, chosen.min_area_px, chosen.misses.count) == (32 / 128, 0, 0)
    seen = seen_at(
        [(1600, 0.5)] * 20, [(5, 0.1), (700, 0.01)] * 10
    )  # up to 1536 px are as good: a small one would pass
    assert choose(seen, Aim(cost_miss=100, cost_false=1)).chosen.min_area_px == 0


def test_without_a_sound_picture_the_point_stays_where_it_is_if_that_shows_the_limit():
    seen = seen_at([(100, 0.9)] * 20, [])
    assert choose(seen, Aim(max_escape=0.5), (0.75, 12)).chosen.threshold == 0.75
    near = choose(seen, Aim(max_escape=0.5), (0.95, 12)).chosen
    assert near.threshold == THRESHOLDS[int(0.9 * 128) - 1] and near.min_area_px == 12


def test_an_alarm_beside_the_defect_saves_the_part_but_not_in_strict_counting():
    seen = seen_at([(9, 1.0)] * 40, [(9, 0.5)], touching=[(9, 0.5)] * 40)
    assert choose(seen, Aim(max_escape=0.1)).chosen.threshold > 0.5
    strict = choose(seen, Aim(max_escape=0.1, strict=True)).chosen
    assert strict.threshold < 0.5 and strict.misses.count == 0
    high = point_at(seen, 0.75, 0, Aim(max_escape=0.1))
    assert (high.escapes.count, high.misses.count) == (0, 40)


def test_a_dear_miss_lowers_the_threshold_and_a_rare_defect_raises_it_again():
    seen = seen_at([(9, 0.9)] * 9 + [(9, 0.2)], [(9, 0.4)] * 4 + [(0, 0.0)] * 6)
    dear, cheap, rare = (choose(seen, Aim(cost_miss=miss, cost_false=1, defect_share=share)).chosen
                         for miss, share in ((50, 0.5), (1, 0.5), (50, 0.001)))  # fmt: skip
    assert dear.threshold < 0.2 < 0.4 <= cheap.threshold and rare.threshold >= 0.4
    assert dear.cost == pytest.approx(0.5 * 0.4) and cheap.cost == pytest.approx(0.5 * 0.1)


REFUSED = [
    (30, 0, Aim(max_escape=0.01), "30 defective pictures without a miss show an escape rate of at most 9.5 % at 95 % "
     "confidence: 299 would be needed to show 1 %"),
    (30, 5, Aim(max_false=0.02), "5 sound pictures without a false reject show a rate of false rejects of at most "
     "45.1 %"),
    (30, 0, Aim(max_false=0.5), "no sound picture, so a rate of false rejects cannot be measured"),
    (30, 0, Aim(cost_miss=50, cost_false=1), "no sound picture"),
    (0, 30, Aim(max_false=0.5), "no defective picture, so an escape rate cannot be measured"),
    (0, 0, Aim(max_escape=0.5), "no defective picture"),
]  # fmt: skip


@pytest.mark.parametrize(("defective", "sound", "aim", "said"), REFUSED)
def test_a_claim_that_the_pictures_cannot_support_is_refused_with_what_would(defective, sound, aim, said):
    choice = choose(seen_at([(9, 0.5)] * defective, [(0, 0.0)] * sound), aim)
    assert choice.chosen is None and said in choice.refusal


def test_a_defect_that_no_threshold_finds_is_part_of_the_refusal():
    choice = choose(seen_at([(9, 0.5)] * 397 + [(0, 0.0)] * 3, []), Aim(max_escape=0.01))
    assert "400 defective pictures with 3 misses at best show an escape rate of at most 1.93 %" in choice.refusal
    assert "773 with no more than that would be needed" in choice.refusal


def test_limits_that_only_different_points_can_show_are_refused():
    seen = seen_at([(9, 0.3)] * 40, [(9, 0.6)] * 40)
    assert choose(seen, Aim(max_escape=0.1)).chosen and choose(seen, Aim(max_false=0.1)).chosen
    assert "not both" in choose(seen, Aim(max_escape=0.1, max_false=0.1)).refusal


@pytest.mark.parametrize("options", [
    {}, {"max_escape": 0.0}, {"max_escape": 1.0}, {"max_escape": -0.1}, {"max_escape": math.nan}, {"max_false": 2.0},
    {"cost_miss": 1.0}, {"cost_false": 1.0}, {"cost_miss": math.inf, "cost_false": 1.0},
    {"cost_miss": 0.0, "cost_false": 1.0}, {"cost_miss": math.nan, "cost_false": 1.0},
    {"max_escape": 0.1, "confidence": 1.0},
    {"max_escape": 0.1, "confidence": math.nan}, {"max_escape": 0.1, "defect_share": 0.1},
    {"cost_miss": 2.0, "cost_false": 1.0, "defect_share": 1.0},
])  # fmt: skip
def test_an_aim_that_makes_no_sense_is_one_clear_line(options):
    with pytest.raises(OptionError) as error:
        Aim(**options)
    assert "would work" in str(error.value) or "go together" in str(error.value)


# a whole model


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A plain folder: noise, in half of the pictures with a labelled square."""
    rng = np.random.default_rng(0)
    for number in range(24):
        part = ("train", "val", "val", "test")[number % 4]
        mask = np.zeros((64, 64), np.uint8)
        mask[8:40, 8:40] = 255 * (number // 4 % 2)
        for place, array in (("images", rng.integers(0, 256, (64, 64, 3), np.uint8)), ("masks", mask)):
            (tmp_path / "set" / place / part).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "set" / place / part / f"{number}.png", array)
    return tmp_path / "set"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(exported(), tmp_path / "bundle"))


def threshold(*words) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["threshold", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.stdout.split()), done.stderr


def test_what_is_written_into_a_bundle_is_what_the_inspector_uses(bundle, pictures):
    before = {name: (bundle / name).read_bytes() for name in ("model.bin",)}  # the graph names it
    code, said, _ = threshold(bundle, pictures, "--cost-miss", 50, "--cost-false", 1, "--write", "--threads", 1)
    card = read_bundle(bundle)[0]
    assert code == 0 and f"chosen: threshold {card.threshold:g}, min area {card.min_area_px} px" in said
    assert f"written into {bundle / CARD}" in said
    assert all((bundle / name).read_bytes() == content for name, content in before.items())
    inspector = Inspector(bundle, threads=1)
    verdicts = [inspector(path).verdict for path in sorted((pictures / "images" / "val").iterdir())]
    origin = card.provenance["threshold"]
    point = origin["point"]
    flagged = point["escapes"]["of"] - point["escapes"]["count"] + point["false_rejects"]["count"]
    assert len(verdicts) == 12 and verdicts.count("reject") == flagged
    assert (origin["chosen"], origin["by"], origin["aim"]["cost_miss"]) == ("validation", "anet threshold", 50.0)
    assert origin["data"]["part"] == "val" and card.provenance["seed"] == 0


def test_a_written_point_is_scored_as_set_and_named_where_another_is(bundle, pictures, tmp_path):
    assert threshold(bundle, pictures, "--cost-miss", 50, "--cost-false", 1, "--write", "--threads", 1)[0] == 0
    own = read_card(bundle)
    usual = evaluate_model(bundle, pictures, threads=1)
    point = {"value": own.threshold, "min_area_px": own.min_area_px}
    assert usual.facts["threshold"]["own"] == point
    asked = ["eval", str(bundle), str(pictures), "--as-set", "--threads", "1", "--out", str(tmp_path / "set.json")]
    done = CliRunner().invoke(app, asked)
    said = " ".join(done.stdout.split())
    line = f"regions from {own.min_area_px} px, large pictures in tiles: as the model decides at the line"
    assert done.exit_code == 0 and line in said
    content = json.loads((tmp_path / "set.json").read_text())
    assert content["threshold"] == {**point, "chosen": "as the model has it", "rules": False}
    inspector = Inspector(bundle, threads=1)
    found = [bool(inspector(path).defects) for path in sorted((pictures / "images" / "test").iterdir())]
    assert sum(one["pred_px"] > 0 for one in content["pictures"]) == sum(found)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)), st.integers(0, 9)
)
@fast
def test_regions_below_an_area_go_and_others_stay_whole(mask, least):
    kept = without_small(mask, least)
    for class_id in (1, 2):
        number, labels = cv2.connectedComponents((mask == class_id).view(np.uint8), connectivity=8)
        for region in range(1, number):
            inside = labels == region
            assert (kept[inside] == (class_id if inside.sum() >= least else 0)).all()
    assert not kept[mask == 0].any()


def test_what_is_written_into_a_model_file_is_sealed_with_the_same_weights(tmp_path, pictures):
    file = tmp_path / "best.safetensors"
    facts = Facts("anet", ("background", "defect"), SIZE, MEAN, STD, provenance={"seed": 4})
    save_model(file, network().state_dict(), facts)
    code, _, said = threshold(file, pictures, "--max-escape", 0.9, "--write")
    assert (code, said) == (0, "")
    loaded, found = load_model(file)
    assert found.provenance["threshold"]["aim"]["max_escape"] == 0.9 and found.provenance["seed"] == 4
    assert found.threshold == found.provenance["threshold"]["point"]["threshold"] in THRESHOLDS
    wanted = network().state_dict()
    assert all((value == wanted[name]).all() for name, value in loaded.state_dict().items())


def test_the_test_part_is_never_opened(bundle, pictures, monkeypatch):
    from anet.data.dataset import Sample

    opened, read = set(), Sample.read
    monkeypatch.setattr(Sample, "read", lambda self, classes: opened.add(self.name) or read(self, classes))
    choose_operating(bundle, pictures, Aim(max_escape=0.9), threads=1)
    assert {name.split("/")[1] for name in opened} == {"val"} and len(opened) == 12


def test_a_refused_claim_is_exit_code_2_with_a_report_and_nothing_written(bundle, pictures, tmp_path):
    card, out = (bundle / CARD).read_bytes(), tmp_path / "report.json"
    code, said, wrong = threshold(bundle, pictures, "--max-escape", 0.01, "--write", "--out", out, "--threads", 1)
    assert code == 2 and "299 would be needed to show 1 %" in wrong and wrong.count("\n") == 1
    assert "escapes of 6" in said and "chosen" not in said
    report = json.loads(out.read_text())
    assert report["chosen"] is None and report["refusal"] in wrong and len(report["rows"]) >= 1
    assert (bundle / CARD).read_bytes() == card


def test_without_sound_pictures_it_is_said_that_false_rejects_are_not_measured(bundle, pictures):
    for path in (pictures / "masks" / "val").iterdir():
        write_png(path, np.full((64, 64), 255, np.uint8))
    code, said, _ = threshold(bundle, pictures, "--max-escape", 0.9, "--threads", 1)
    assert code == 0 and "not measured" in said and "false rejects cannot be measured" in said
    own = read_card(bundle)
    assert f"chosen: threshold {own.threshold:g}, min area {own.min_area_px} px" in said


@pytest.mark.parametrize("strict", [False, True])
def test_parts_that_are_rejected_by_luck_are_named_where_they_count_as_found(strict):
    aim = Aim(max_false=0.9, strict=strict)
    choice = choose(seen_at([(9, 0.9)] * 5, [(9, 0.5)] * 5, touching=[(9, 0.9)] * 3 + [(0, 0.0)] * 2), aim)
    facts = {"data": {"name": "set", "task": "defect"}, "split": {"source": "given"}}
    console = Console(record=True, width=80, file=io.StringIO())
    print_operating(Operating(facts, choice, None, 9, (2, 5)), console)
    said = console.export_text()
    assert ("region beside the defect: 2" in said) != strict
    assert "10 pictures show 9 pieces" in said and "…" not in said and "2 of 5 labelled regions are smaller" in said


def test_the_trade_off_with_costs_is_whole_on_80_columns():
    rng = np.random.default_rng(0)
    found, sound = ([(99, end) for end in rng.random(count)] for count in (900, 900))
    choice = choose(seen_at(found, sound), Aim(cost_miss=20, cost_false=1))
    facts = {"data": {"name": "set", "task": "defect"}, "split": {"source": "given"}}
    console = Console(record=True, width=80, file=io.StringIO())
    print_operating(Operating(facts, choice, choice.rows[0], 1800), console)
    said = console.export_text()
    assert "…" not in said and "chosen" in said.split("\nchosen: ")[0]


def test_a_model_trained_on_another_split_of_the_pictures_gets_no_claim(bundle, pictures):
    from anet.data import load

    card = read_bundle(bundle)[0]
    split = {"protocol": "grouped", "seed": 7}
    told = dataclasses.replace(card, provenance={"data": {"digest": load(pictures).digest()}, "split": split})
    (bundle / CARD).write_bytes(told.sealed())
    with pytest.raises(DataError, match=r"saw some of those .* --protocol grouped --split-seed 7 is its own"):
        choose_operating(bundle, pictures, Aim(max_escape=0.9), protocol="given", threads=1)


def test_a_model_that_changed_meanwhile_is_left_alone(bundle):
    point = point_at(seen_at([(9, 0.5)], []), 0.5, 4, Aim(max_escape=0.9))
    before = (bundle / CARD).read_bytes()
    with pytest.raises(ModelError, match="changed while"):
        write_point(bundle, point, {}, "0" * 64)
    assert (bundle / CARD).read_bytes() == before


WRONG = {
    "": "nothing is asked for",
    "--max-escape 0": "max_escape is 0.0",
    "--max-false nan": "max_false is nan",
    "--cost-miss 50": "go together",
    "--cost-miss 50 --cost-false inf": "costs are 50.0 and inf",
    "--max-escape 0.1 --confidence 95": "confidence is 95.0",
    "--max-escape 0.1 --task rust": "rust",
    "--max-escape 0.1 --protocol best": "best",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_one_line_and_exit_code_2(words, bundle, pictures):
    code, _, said = threshold(bundle, pictures, *words.split())
    assert code == 2 and said.count("\n") == 1 and WRONG[words] in said
