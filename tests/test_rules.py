"""Rules decide what they say, say why, and are refused with all of their faults at once."""

import hashlib
import itertools
import json
import os
import re
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from anet.cli import app
from anet.errors import AnetError, ImageError, ModelError, OptionError, OutputError
from anet.export.deployable import export_bundle
from anet.frame import Answer
from anet.image import write_png
from anet.nets import ANet
from anet.runtime.card import CARD, read_bundle
from anet.runtime.inspector import Inspector
from anet.runtime.measuring.measure import find_defects
from anet.runtime.results import inspect_paths
from anet.runtime.verdicts import bundled_rules
from anet.runtime.verdicts import gaps as gaps_room
from anet.runtime.verdicts import zones as zones_room
from anet.runtime.verdicts.bundled_rules import RULES, add_rules
from anet.runtime.verdicts.gaps import closest
from anet.runtime.verdicts.rules import VERDICTS, Reason, Rule, Rules, any_defect
from anet.runtime.verdicts.rules_check import check_rules, replay
from anet.runtime.verdicts.rules_file import RULE_KEYS, look_at_rules, parse_rules, read_rules
from anet.runtime.verdicts.zones import Zone, polygon_faults
from tests.test_export import exported, facts, frames, lively

NAMES = ("background", "scratch", "pore")
ROOT = Path(__file__).parent.parent


def scene(*rectangles: tuple[int, int, int, int, int], h: int = 60, w: int = 100):
    """Give a mask with rectangles (class, x0, y0, x1, y1) and its defects."""
    mask = np.zeros((h, w), np.uint8)
    for class_id, x0, y0, x1, y1 in rectangles:
        mask[y0:y1, x0:x1] = class_id
    return mask, measured(mask)


def measured(mask: np.ndarray, scale: tuple[float, float] | None = None):
    probs = np.full((*mask.shape, 3), 0.05, np.float32)
    np.put_along_axis(probs, mask[..., None].astype(np.intp), 0.9, axis=2)
    return find_defects(mask, Answer(probs, *mask.shape), 0, NAMES, scale=scale)


def painted(defect, mask: np.ndarray) -> np.ndarray:
    """Give all pixels of a defect, `(h, w) bool`: what its runs must come to."""
    labels = cv2.connectedComponents((mask == defect.class_id).astype(np.uint8), connectivity=8)[1]
    return labels == labels[tuple(defect.runs[0, :2])]


def unknown_runs(defects) -> list:
    """Give defects as `rules check --report` has them."""
    return [SimpleNamespace(**one.to_dict() | {"runs": None}) for one in defects]


def long_defects(h: int, w: int):
    """Give an oblique scratch of 3 pixels through all rows of a web, and a speck 4 pixels to its right."""
    (one,) = scene((1, 0, 0, 3, 1))[1]
    row = np.arange(h)
    start = row * (w - 10) // h
    scratch = replace(one, box=(0, 0, int(start[-1]) + 3, h), runs=np.stack([row, start, start + 3], axis=1))
    y, x = h // 2, int(start[h // 2]) + 7
    return scratch, replace(one, box=(x, y, x + 1, y + 1), runs=np.array([[y, x, x + 1]]))


def peak_of(work) -> tuple[Any, float]:
    """Give what `work` gives, and how many MB it held at most."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def rules_of(text: str, **files: bytes) -> Rules:
    rules, faults = parse_rules(text.encode(), lambda name: files[name.removesuffix(".png")])
    assert rules is not None, faults
    return rules


def faults_of(text: str | bytes, **files: bytes) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    return [str(one) for one in parse_rules(content, lambda name: files[name.removesuffix(".png")])[1]]


def one_rule(limit: str, action: str = "reject") -> str:
    return f'[[rules]]\nname = "r"\naction = "{action}"\n{limit}\n'


def decide(text: str, mask, defects):
    return rules_of(text).decide(defects, mask)


SCENE = ((1, 10, 10, 50, 12), (2, 60, 10, 66, 16), (2, 60, 20, 62, 22))  # scratch 40 x 2, pores 6 x 6 and 2 x 2


# deciding


@pytest.mark.parametrize(
    ("limit", "kept", "broken", "found"),
    [
        ("max_count", 3, 2, 3),
        ("max_area_px", 80, 79, 80),
        ("max_length_px", 40, 39.9, 40),
        ("max_width_px", 6, 5.5, 6),
        ("max_total_area_px", 120, 119, 120),
        ("min_distance_px", 4, 4.1, 4),
        ("max_score", 0.95, 0.85, 0.9),
    ],
)
def test_a_limit_that_is_just_met_is_kept_and_one_beyond_fires(limit, kept, broken, found):
    mask, defects = scene(*SCENE)
    assert decide(one_rule(f"{limit} = {kept}"), mask, defects) == ("accept", ())
    verdict, (reason,) = decide(one_rule(f"{limit} = {broken}"), mask, defects)
    assert (verdict, reason.rule, reason.limit, reason.allowed) == ("reject", "r", limit, broken)
    assert reason.found == pytest.approx(found)


@settings(deadline=None)
@given(st.integers(10, 200), st.integers(1, 90), st.integers(1, 9), st.integers(1, 40))
def test_a_limit_in_mm_that_is_just_met_is_kept_whatever_the_scale(thousandths, long, wide, apart):
    mm, pixels = thousandths / 1000, {"length": max(long, wide), "width": min(long, wide), "distance": apart}
    mask = np.zeros((80, 100), np.uint8)
    mask[5 : 5 + wide, 5 : 5 + long] = mask[5 + wide + apart : 5 + 2 * wide + apart, 5 : 5 + long] = 1
    defects = measured(mask, (mm, mm))
    exact = {name: value * thousandths / 1000 for name, value in pixels.items()}  # as a person writes it
    area = defects[0].to_dict()["area_mm2"]
    limits = {f"max_{name}_mm": exact[name] for name in ("length", "width")} | {"min_distance_mm": exact["distance"]}
    limits |= {"max_area_mm2": area, "max_total_area_mm2": float(f"{2 * area:.6g}")}
    least = {"from_length_mm": exact["length"], "from_area_mm2": area}
    rules = (Rule("kept", "reject", limits), Rule("counted", "warn", {"max_count": 1}, least=least))
    verdict, reasons = Rules(rules).decide(defects, mask, (mm, mm))
    assert verdict == "warn" and [one.rule for one in reasons] == ["counted"]
    assert Rules(rules).decide(unknown_runs(defects), mask, (mm, mm)) == (verdict, reasons)


def test_a_score_that_is_just_met_is_met_though_it_is_no_binary_number():
    mask, defects = scene(*SCENE)
    assert defects[0].score < 0.9
    assert decide(one_rule("from_score = 0.9\nmax_count = 0"), mask, defects)[0] == "reject"


def test_a_reason_names_rule_limit_finding_and_place():
    mask, defects = scene(*SCENE)
    _, (long,) = decide(one_rule("max_length_px = 30"), mask, defects)
    assert (
        long.text == "reject by 'r': length 40 px, at most 30 px allowed: scratch at x 30, y 10"
        and long.defects == (1,)
    )
    _, (many,) = decide(one_rule('classes = ["pore"]\nmax_count = 1', "warn"), mask, defects)
    assert many.text == "warn by 'r': 2 defects, at most 1 allowed: pore at x 62, y 12 and 1 more"
    _, (near,) = decide(one_rule("min_distance_px = 9"), mask, defects)
    assert near.text.endswith("distance 4 px, at least 9 px allowed: pore at x 62, y 12 and pore at x 60, y 20")
    assert near.defects == (2, 3)
    zone = "[zones.left]\npolygon_share = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]\n"
    _, (part,) = decide(zone + one_rule('zone = "left"\nmax_total_area_px = 3'), mask, defects)
    assert part.text == "reject by 'r': total area 80 px in zone 'left', at most 3 px allowed: scratch at x 30, y 10"


def test_every_rule_that_fires_gives_its_reason_and_the_worst_is_the_verdict():
    mask, defects = scene(*SCENE)
    warn, reject = one_rule("max_count = 1", "warn"), one_rule("max_area_px = 50").replace('"r"', '"s"')
    verdict, reasons = decide(warn + reject, mask, defects)
    assert verdict == "reject" and [one.rule for one in reasons] == ["s", "r"]
    assert decide(warn, mask, defects)[0] == "warn" and decide(warn, *scene())[0] == "accept"


def test_only_defects_of_the_class_and_size_that_a_rule_names_count():
    mask, defects = scene(*SCENE)
    assert decide(one_rule('classes = ["pore"]\nmax_length_px = 10'), mask, defects)[0] == "accept"
    assert decide(one_rule('classes = ["pore"]\nmax_count = 1'), mask, defects)[0] == "reject"
    assert decide(one_rule('classes = ["pore"]\nfrom_area_px = 5\nmax_count = 1'), mask, defects)[0] == "accept"
    assert decide(one_rule("from_score = 0.95\nmax_count = 0"), mask, defects)[0] == "accept"


def test_without_rules_any_defect_rejects_and_the_reason_says_so():
    mask, defects = scene(*SCENE)
    verdict, (reason,) = any_defect(4).decide(defects, mask)
    assert verdict == "reject" and "no rules given" in reason.text and "3 defects" in reason.text
    assert any_defect(4).decide((), mask) == ("accept", ())


def test_limits_in_mm_are_refused_without_a_scale():
    rules = rules_of(one_rule("max_length_mm = 3"))
    with pytest.raises(OptionError, match="max_length_mm needs mm_per_px"):
        rules.check_units(None)
    rules.check_units(0.1)
    with pytest.raises(OptionError, match="mm_per_px"):
        Inspector(exported(), rules=rules)


def test_a_distance_in_mm_follows_the_scale_of_each_axis():
    mask, defects = scene((1, 0, 0, 4, 4), (1, 0, 10, 4, 14), (1, 20, 0, 24, 4))
    assert closest(defects, mask, 1.0, 99.0)[0] == 6
    assert closest(defects, mask, (0.5, 0.1), 99.0)[0] == pytest.approx(1.6)
    with pytest.raises(OptionError, match="mm_per_px"):
        closest(defects, mask, None, 99.0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 0.3),
    st.sampled_from([1.0, 2.5, 6.0, 50.0]),
    st.sampled_from([(1.0, 1.0), (0.5, 2.0), (3.0, 0.7)]),
    st.sampled_from([1, 3, 256]),
)
def test_the_smallest_gap_is_that_of_all_pairs_of_pixels(seed, share, below, scale, some):
    rng = np.random.default_rng(seed)
    mask = (rng.random((14, 17)) < share).astype(np.uint8) * rng.integers(1, 3, (14, 17), np.uint8)
    defects = measured(mask)
    points = [np.argwhere(painted(one, mask)) for one in defects]
    assert [len(one) for one in points] == [one.area_px for one in defects]
    gaps = [
        np.hypot(*(np.abs(a[:, None] - b[None]) - 1).clip(0).transpose(2, 0, 1) * np.reshape(scale, (2, 1, 1))).min()
        for a, b in itertools.combinations(points, 2)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps_room, "SOME", some)
        found, least = closest(defects, mask, scale, below), min(gaps, default=below)
        assert closest(unknown_runs(defects), mask, scale, below) == found
    assert (found[0] if found else None) == (pytest.approx(least) if least < below else None)


def test_a_distance_on_a_web_takes_memory_for_runs_and_not_for_boxes():
    defects, nothing = long_defects(100_000, 4096), np.broadcast_to(np.uint8(0), (100_000, 4096))
    found, megabytes = peak_of(lambda: closest(defects, nothing, 1.0, 5.0))
    assert found == (4.0, 0, 1) and megabytes < 20


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["max_count", "max_area_px", "max_total_area_px", "max_length_px"]))
def test_a_stricter_limit_or_one_more_rule_never_makes_a_verdict_milder(seed, limit):
    rng = np.random.default_rng(seed)
    mask = (rng.random((12, 12)) < 0.2).astype(np.uint8)
    defects, (low, high) = measured(mask), sorted(rng.integers(0, 30, 2).tolist())
    strict, mild = (Rule(name, "reject", {limit: value}) for name, value in (("s", low), ("m", high)))
    worse, better = (VERDICTS.index(Rules((one,)).decide(defects, mask)[0]) for one in (strict, mild))
    both = VERDICTS.index(Rules((strict, mild)).decide(defects, mask)[0])
    assert worse >= better and both == max(worse, better)


# zones


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), min_size=3, max_size=7, unique=True))
def test_a_pixel_is_in_a_polygon_when_its_centre_is(points):
    zone = Zone("z", tuple((float(x), float(y)) for x, y in points))
    if list(polygon_faults(zone.polygon, False)):
        return
    contour = (np.array(points, np.float32) * 2).reshape(-1, 1, 2)  # doubled: centres are whole numbers, exact
    inside = zone.inside((0, 0, 12, 9), 9, 12)
    for y, x in np.ndindex(inside.shape):
        side = cv2.pointPolygonTest(contour, (2.0 * x + 1, 2.0 * y + 1), False)
        assert side == 0 or inside[y, x] == (side > 0)
    assert np.array_equal(zone.inside((3, 2, 9, 7), 9, 12), inside[2:7, 3:9])
    shares = Zone("z", tuple((x / 12, y / 9) for x, y in zone.polygon), shares=True)
    assert (shares.inside((0, 0, 24, 18), 18, 24).sum() > 0) or not inside.any()


def test_one_pixel_in_a_zone_is_in_it_and_its_box_alone_is_not():
    mask = np.zeros((30, 30), np.uint8)
    np.fill_diagonal(mask, 1)
    mask[20:22, 3:6] = 1  # another defect inside the box of the diagonal one
    corner, touched = (
        "[zones.z]\npolygon_px = [[{}, 18], [{}, 18], [{}, 24], [{}, 24]]\n".format(*x)
        for x in ((0, 9, 9, 0), (21, 30, 30, 21))
    )
    rule = one_rule('zone = "z"\nmax_length_px = 10')
    defects = measured(mask)
    assert decide(corner + rule, mask, defects)[0] == "accept"
    assert decide(touched + rule, mask, defects)[0] == "reject"
    assert decide(corner + rule.replace("max_length_px = 10", "max_count = 0"), mask, defects)[1][0].defects == (2,)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.02, 0.3),
    st.lists(st.tuples(st.integers(0, 17), st.integers(0, 14)), min_size=3, max_size=7, unique=True),
    st.booleans(),
    st.sampled_from([1, 40, 2**20]),
)
def test_a_zone_holds_the_defects_of_which_a_pixel_is_inside(seed, share, points, drawn, at_once):
    rng = np.random.default_rng(seed)
    mask = (rng.random((14, 17)) < share).astype(np.uint8) * rng.integers(1, 3, (14, 17), np.uint8)
    defects, zone = measured(mask), Zone("z", tuple((float(x), float(y)) for x, y in points))
    if drawn:
        zone = Zone("z", mask=rng.random((14, 17)) < 0.1, mask_file="z.png")
    inside = zone.inside((0, 0, 17, 14), 14, 17)
    held = [bool((painted(one, mask) & inside).any()) for one in defects]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zones_room, "AT_ONCE", at_once)
        assert [zone.holds(one, mask) for one in defects] == held
        assert [zone.holds(one, mask) for one in unknown_runs(defects)] == held


def test_a_zone_looks_at_a_large_defect_in_bands_of_rows():
    (scratch, speck), nothing = long_defects(20_000, 4096), np.broadcast_to(np.uint8(0), (20_000, 4096))
    zone = Zone("right", ((0.5, 0.0), (1.0, 0.0), (1.0, 0.4), (0.5, 0.4)), shares=True)  # the scratch passes below it
    held, megabytes = peak_of(lambda: [zone.holds(one, nothing) for one in (scratch, speck)])
    assert held == [False, False] and megabytes < 40
    low = replace(zone, polygon=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))
    assert low.holds(scratch, nothing) and low.holds(speck, nothing)


def test_a_picture_that_a_zone_does_not_fit_gets_no_verdict_even_without_defects(tmp_path):
    mask, defects = scene(h=40, w=50)
    wide = rules_of("[zones.z]\npolygon_px = [[0, 0], [60, 0], [0, 9]]\n" + one_rule('zone = "z"\nmax_count = 0'))
    with pytest.raises(ImageError, match=r"reaches to x 60.*50x40"):
        wide.decide(defects, mask)
    write_png(tmp_path / "z.png", np.full((40, 51), 255, np.uint8))
    text = '[zones.z]\nmask = "z.png"\n' + one_rule('zone = "z"\nmax_count = 0')
    with pytest.raises(ImageError, match=r"51x40.*50x40"):
        rules_of(text, z=(tmp_path / "z.png").read_bytes()).decide(defects, mask)


def test_a_mask_beside_the_rules_is_a_zone(tmp_path):
    drawn = np.zeros((60, 100), np.uint8)
    drawn[:, :55] = 1
    write_png(tmp_path / "z.png", drawn)
    (tmp_path / "r.toml").write_text('[zones.z]\nmask = "z.png"\n' + one_rule('zone = "z"\nmax_count = 0'))
    _, (reason,) = read_rules(tmp_path / "r.toml").decide(*reversed(scene(*SCENE)))
    assert reason.found == 1 and reason.defects == (1,)


# faults

POLYGONS = {
    "[[0, 0], [10, 10], [10, 0], [0, 10]]": "crosses itself",
    "[[0, 0], [10, 0], [5, 0], [0, 10]]": "crosses itself",
    "[[0, 0], [10, 0], [10, 5], [5, 0], [0, 9]]": "crosses itself",
    "[[0, 0], [1, 1], [2, 2]]": "crosses itself",
    "[[0, 0], [1, 0], [1, 1], [0, 0]]": "visits a point twice: point 4",
    "[[0, 0], [-1, 0], [1, 1]]": "lies outside the picture: point 2",
    "[[0, 0], [1, 0]]": "has 2 points",
    "[]": "list of points",
    "[[0, 0], [1, 0], [1, nan]]": "list of points",
    "[[0, 0], [1, 0], [1, inf]]": "list of points",
    "[[0, 0], [1, 0], [1]]": "list of points",
    "[1, 2, 3]": "list of points",
    '[["0", "0"], ["1", "0"], ["1", "1"]]': "list of points",
    "[[true, false], [0, 1], [5, 5]]": "list of points",
    '"square"': "list of points",
    "{ x = 1 }": "list of points",
    "[" + ", ".join(f"[{x}, {x * x}]" for x in range(1001)) + "]": "has 1001 points",
}


@pytest.mark.parametrize("points", POLYGONS, ids=lambda text: text[:40])
def test_a_polygon_of_nonsense_is_named(points):
    text = f"[zones.z]\npolygon_px = {points}\n" + one_rule('zone = "z"\nmax_count = 0')
    (fault,) = faults_of(text)
    assert fault.startswith("zone 'z': ") and POLYGONS[points] in fault and "\n" not in fault


FAULTS = {
    "": "holds no rule",
    "[[rules]]\n": "needs a name",
    "rules = 3": "holds no rule",
    "rules = [3]": "is no table",
    "zones = 3\n" + one_rule("max_count = 0"): "zones are tables",
    one_rule("max_lenght_px = 3"): "did you mean 'max_length_px'?",
    one_rule("max_count = -1"): "max_count is -1",
    one_rule("max_count = 1.5"): "a whole number",
    one_rule("max_count = true"): "max_count is True",
    one_rule("max_area_px = nan"): "max_area_px is nan",
    one_rule("max_area_px = inf"): "max_area_px is inf",
    one_rule("max_area_px = " + "9" * 400): "max_area_px is 999",
    one_rule('max_area_px = "4"'): "max_area_px is '4'",
    one_rule("max_score = 50"): "between 0 and 1",
    one_rule("from_score = 1.1\nmax_count = 0"): "between 0 and 1",
    one_rule("min_distance_px = 0"): "never fires",
    one_rule("from_area_px = 3"): "has no limit",
    one_rule("max_count = 0", "accept"): "action is 'accept'",
    one_rule("max_count = 0\nclasses = []"): "classes is a list of names",
    one_rule('max_count = 0\nclasses = "pore"'): "classes is a list of names",
    one_rule('max_count = 0\nzone = "edge"'): "no zone 'edge'",
    one_rule("max_count = 0\nzone = [1]"): "no zone [1]",
    one_rule("max_count = 0").replace('"r"', '"a\\nb"'): "printable",
    one_rule("max_count = 0") * 2: "another rule has this name",
    "[zones.z]\n" + one_rule('zone = "z"\nmax_count = 0'): "has no shape",
    '[zones.z]\nmask = "../z.png"\n' + one_rule('zone = "z"\nmax_count = 0'): "PNG beside the rules",
    '[zones.z]\nmask = "z.txt"\n' + one_rule('zone = "z"\nmax_count = 0'): "PNG beside the rules",
    '[zones.z]\nmask = "bad.png"\n' + one_rule('zone = "z"\nmax_count = 0'): "cannot read bad.png",
    '[zones.z]\nmask = "empty.png"\n' + one_rule('zone = "z"\nmax_count = 0'): "is empty",
    "[zones.z]\npolygon_share = [[0, 0], [1, 0], [1, 1.2]]\n" + one_rule('zone = "z"\nmax_count = 0'): "outside",
    "[[rules]": "is no TOML",
    "a = " + "[" * 100_000: "is no TOML",
}


@pytest.mark.parametrize("text", FAULTS, ids=lambda text: FAULTS[text][:30])
def test_a_fault_is_named_in_one_line(text):
    empty = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
    found = faults_of(text, bad=b"no picture", empty=empty)
    assert any(FAULTS[text] in fault for fault in found), found
    assert not any("\n" in fault for fault in found)


def test_bytes_that_are_no_utf8_are_no_rules():
    assert "is no TOML" in faults_of(b"\xff\xfe")[0]


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "action", "classes", "zone", "max_count", "max_area_px", "min_distance_mm", "x"]),
        st.sampled_from(
            ['"r"', '"warn"', '["pore"]', "1", "-1", "1.5", "nan", "[]", "{}", "true", "[[1]]", '""', "1979-05-27"]
        ),
    ),
    st.dictionaries(
        st.sampled_from(["polygon_px", "polygon_share", "mask", "x"]),
        st.sampled_from(
            ['"z.png"', "[[0, 0], [1, 0], [0, 1]]", "[[[]]]", "[[{}, 1]]", "0", "nan", '"../a"', "1979-05-27"]
        ),
    ),
)
def test_whatever_stands_in_a_file_is_rules_or_faults(rule, zone):
    text = "[zones.r]\n" + "\n".join(f"{key} = {value}" for key, value in zone.items())
    text += "\n[[rules]]\n" + "\n".join(f"{key} = {value}" for key, value in rule.items())
    rules, faults = parse_rules(text.encode(), lambda _: b"")
    assert (rules is None) == any(one.level == "error" for one in faults)


def test_all_faults_come_in_one_run(tmp_path):
    text = one_rule("max_lenght_px = 3") + one_rule("max_count = -1").replace('"r"', '"s"') + "[zones.z]\nmask = 3\n"
    found = faults_of(text)
    assert len(found) == 5  # the unknown key, no limit, the negative, the mask, the zone that is not used
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(OptionError, match=r"r\.toml: .*and 3 more: `anet rules check`"):
        read_rules(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("warn", "reject", "wrong"),
    [
        ("max_area_px = 50", "max_area_px = 40", True),
        ("max_area_px = 40", "max_area_px = 40", True),
        ("max_area_px = 30", "max_area_px = 40", False),
        ("min_distance_px = 10", "min_distance_px = 20", True),
        ("min_distance_px = 30", "min_distance_px = 20", False),
        ('classes = ["pore"]\nmax_count = 5', "max_count = 3", True),
        ("max_count = 5", 'classes = ["pore"]\nmax_count = 3', False),
        ("from_area_px = 9\nmax_count = 5", "from_area_px = 4\nmax_count = 3", True),
        ("from_area_px = 4\nmax_count = 5", "from_area_px = 9\nmax_count = 3", False),
        ("max_length_px = 50", "max_length_mm = 4", False),
    ],
)
def test_a_warning_that_can_never_be_the_verdict_is_a_contradiction(warn, reject, wrong):
    found = faults_of(one_rule(warn, "warn") + one_rule(reject).replace('"r"', '"s"'))
    assert [("warns of nothing" in fault) for fault in found] == [True] * wrong


def test_files_that_are_none_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(b"#" * 2**20 + b"\n")
    for name in ("pipe", "huge", "absent", "."):
        with pytest.raises(OptionError):
            read_rules(tmp_path / name)


# inspecting


def test_an_inspector_follows_rules_and_its_results_say_why(tmp_path):
    (tmp_path / "r.toml").write_text(one_rule("max_count = 0", "warn"))
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    plain, warned = (
        Inspector(exported(), threads=1)(picture),
        Inspector(exported(), tmp_path / "r.toml", threads=1)(picture),
    )
    assert (plain.verdict, warned.verdict) == ("reject", "warn") and plain.defects == warned.defects
    write_png(tmp_path / "a.png", picture)
    summary = inspect_paths(Inspector(exported(), tmp_path / "r.toml"), [tmp_path / "a.png"], tmp_path / "out")
    assert (summary.warned, summary.exit_code, summary.fired) == (1, 3, {"r": 1})
    line = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert (line["verdict"], line["reasons"]) == ("warn", [warned.reasons[0].to_dict()])


def test_a_line_says_by_what_a_picture_was_judged(tmp_path):
    (tmp_path / "r.toml").write_text(one_rule("max_count = 0"))
    digest = hashlib.sha256((tmp_path / "r.toml").read_bytes()).hexdigest()[:12]
    write_png(tmp_path / "a.png", np.zeros((40, 56, 3), np.uint8))
    shutil.copytree(exported(), tmp_path / "bundle")
    card = add_rules(tmp_path / "bundle", tmp_path / "r.toml")
    for name, inspector, judged in (
        ("plain", Inspector(exported()), [card.threshold, card.min_area_px, None]),
        ("given", Inspector(exported(), tmp_path / "r.toml", 0.2, 30), [0.2, 30, digest]),
        ("bundled", Inspector(tmp_path / "bundle"), [card.threshold, card.min_area_px, digest]),
    ):
        inspect_paths(inspector, [tmp_path / "a.png"], tmp_path / name)
        line = json.loads((tmp_path / name / "results.jsonl").read_text())
        assert [line[key] for key in ("threshold", "min_area_px", "rules")] == judged, name


def test_rules_on_a_class_that_the_model_lacks_are_refused_and_the_class_named(tmp_path):
    (tmp_path / "r.toml").write_text(one_rule('classes = ["scratsh"]\nmax_count = 0'))
    with pytest.raises(OptionError, match=r"no class 'scratsh': this model knows inclusion, big scratch, patch"):
        Inspector(exported(4), tmp_path / "r.toml")
    (tmp_path / "b.toml").write_text(one_rule('classes = ["background"]\nmax_count = 0'))
    with pytest.raises(OptionError, match="no class 'background'"):
        Inspector(exported(4), tmp_path / "b.toml")


@pytest.mark.parametrize("classes", [2, 4])
def test_a_replay_decides_as_the_inspection_did(tmp_path, classes):
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (40, 56, 3), np.uint8)
        write_png(tmp_path / "in" / f"{number}.png", picture)
    (tmp_path / "in" / "broken.png").write_bytes(b"")
    text = "[zones.z]\npolygon_share = [[0, 0], [0.6, 0], [0, 0.6]]\n"
    text += one_rule('zone = "z"\nmax_total_area_px = 20\nmax_count = 1') + one_rule(
        "min_distance_px = 9\nmax_count = 0", "warn"
    ).replace('"r"', '"s"')
    rules = rules_of(text)
    inspect_paths(Inspector(exported(classes), rules), [tmp_path / "in"], tmp_path / "out")
    report = tmp_path / "out" / "results.jsonl"
    lines = [line for line in map(json.loads, report.read_text().splitlines()) if "error" not in line]
    again = list(replay(rules, report))
    assert [one.now for one in again] == [line["verdict"] for line in lines] == [one.before for one in again]
    assert [list(one.reasons) for one in again] == [[one["text"] for one in line["reasons"]] for line in lines]
    assert any(one.reasons for one in again)
    (tmp_path / "out" / lines[0]["mask"]).unlink()
    assert next(replay(rules, report)).now == "error"


def test_a_replay_keeps_a_warning_of_the_light_which_is_of_no_rule(tmp_path, monkeypatch):
    inspector = Inspector(exported(), rules_of(one_rule("max_count = 999")))
    monkeypatch.setattr(inspector, "card", replace(inspector.card, mean_grey=(200, 210)))
    write_png(tmp_path / "a.png", np.full((40, 56, 3), 9, np.uint8))
    inspect_paths(inspector, [tmp_path / "a.png"], tmp_path / "out")
    (again,) = replay(inspector.rules, tmp_path / "out" / "results.jsonl")
    assert (again.before, again.now) == ("warn", "warn") and "lamp" in again.reasons[-1]
    (strict,) = replay(Rules((Rule("always", "reject", {"max_count": -1}),)), tmp_path / "out" / "results.jsonl")
    assert strict.now == "reject" and len(strict.reasons) == 2


def test_what_was_found_is_told_as_finely_as_it_was_measured():
    told = Reason("warn", "r", "max_area_mm2", 1e-05, 2.556e-05, (1,), "").to_dict()
    assert (told["allowed"], told["found"]) == (1e-05, 2.556e-05)


@pytest.mark.parametrize("line", ["[]", "{}", "7", "no json", '{"defects": [3], "mask": "m"}', "[" * 100_000, "ü"])
def test_a_report_of_something_else_is_refused_in_one_line(tmp_path, line):
    (tmp_path / "results.jsonl").write_text(line)
    with pytest.raises(OptionError) as caught:
        list(replay(any_defect(0), tmp_path / "results.jsonl"))
    assert "\n" not in str(caught.value)


# bundles


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(exported(4), tmp_path / "model"))


@pytest.fixture
def file(tmp_path) -> Path:
    write_png(tmp_path / "zone.png", np.full((40, 56), 255, np.uint8))
    text = '[zones.z]\nmask = "zone.png"\n' + one_rule('zone = "z"\nclasses = ["patch"]\nmax_count = 0', "warn")
    (tmp_path / "mine.toml").write_text(text)
    return tmp_path / "mine.toml"


def test_a_bundle_with_rules_judges_by_them_and_is_another_version(bundle, file):
    before, after = read_bundle(bundle)[0], add_rules(bundle, file)
    assert before.id != after.id and set(after.files) - set(before.files) == {RULES, "zone.png"}
    inspector = Inspector(bundle, threads=1)
    assert [rule.name for rule in inspector.rules.rules] == ["r"] and inspector.card.id == after.id
    assert add_rules(bundle, file).id == after.id
    file.write_text(one_rule("max_count = 7"))
    add_rules(bundle, file)
    assert not (bundle / "zone.png").exists() and Inspector(bundle).rules.rules[0].limits == {"max_count": 7}


@pytest.mark.parametrize("name", [RULES, "zone.png"])
def test_rules_changed_in_a_bundle_are_noticed(bundle, file, name):
    add_rules(bundle, file)
    whole = (bundle / name).read_bytes()
    for content in (whole[:-1], whole + b" ", b"", whole[:20] + bytes([whole[20] ^ 1]) + whole[21:]):
        (bundle / name).write_bytes(content)
        with pytest.raises(
            AnetError, match=f"damaged.*; `anet rules add {bundle} {bundle / RULES}` takes an edited one"
        ):
            Inspector(bundle)
    (bundle / name).unlink()
    with pytest.raises(AnetError, match="cannot read"):
        Inspector(bundle)
    add_rules(bundle, file)
    Inspector(bundle)


def test_rules_that_lie_in_a_bundle_but_are_not_of_it_are_refused(bundle, file):
    shutil.copy(file, bundle / RULES)
    with pytest.raises(ModelError, match="`anet rules add`"):
        Inspector(bundle)


def test_rules_that_do_not_go_with_a_bundle_leave_it_as_it_was(bundle, file):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    for text in (one_rule('classes = ["rust"]\nmax_count = 0'), one_rule("max_count = -1"), "no toml"):
        file.write_text(text)
        with pytest.raises(OptionError):
            add_rules(bundle, file)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_power_lost_before_the_card_is_sealed_never_leaves_a_bundle_that_judges_by_half(bundle, file, monkeypatch):
    write = bundled_rules.atomic_write
    for last in (RULES, "zone.png", CARD):

        def until(path, content, last=last):
            if Path(path).name == last:
                raise OutputError("power")
            write(path, content)

        monkeypatch.setattr(bundled_rules, "atomic_write", until)
        with pytest.raises(OutputError, match="power"):
            add_rules(bundle, file)
        if (bundle / RULES).exists():
            with pytest.raises(ModelError):
                Inspector(bundle)
        else:
            assert "no rules given" in Inspector(bundle).rules.rules[0].name
    monkeypatch.undo()
    add_rules(bundle, file)
    assert Inspector(bundle).rules.rules[0].name == "r"


def test_an_export_over_a_bundle_keeps_its_rules_or_refuses(bundle, file):
    add_rules(bundle, file)
    with pytest.raises(OptionError, match="no class 'patch'"):
        export_bundle(ANet(), facts(2), bundle, frames(1))
    export_bundle(lively(ANet(classes=4)), facts(4, threshold=0.6), bundle, frames(1))
    assert Inspector(bundle).rules.rules[0].name == "r" and Inspector(bundle).threshold == 0.6
    (bundle / "foreign.txt").write_text("")
    with pytest.raises(OutputError, match="no model bundle"):
        export_bundle(ANet(classes=4), facts(4), bundle, frames(1))


# the command line and the page


def anet(*words) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.output


def test_the_verbs_check_add_and_inspect(tmp_path, bundle, file):
    code, said = anet("rules", "check", file, "--bundle", bundle)
    assert code == 0 and "no rule is about class 'inclusion'" in said and "1 rule, no errors" in said
    write_png(tmp_path / "a.png", np.random.default_rng(3).integers(0, 256, (40, 56, 3), np.uint8))
    assert anet("rules", "add", bundle, file)[0] == 0
    code, said = anet("inspect", bundle, tmp_path / "a.png", "--out", tmp_path / "out")
    assert (code, "1 warned" in said, "r: 1 pictures" in said) == (3, True, True)
    strict = tmp_path / "strict.toml"
    strict.write_text(one_rule("max_count = 0"))
    code, said = anet("rules", "check", strict, "--report", tmp_path / "out" / "results.jsonl")
    assert code == 0 and "warn -> reject" in said and "at most 0 allowed" in said
    assert anet("inspect", bundle, tmp_path / "a.png", "--rules", strict, "--out", tmp_path / "out2")[0] == 1
    strict.write_text(one_rule("max_count = -1\nzone = 3"))
    code, said = anet("rules", "check", strict, "--json")
    assert code == 1 and len(json.loads(said)["faults"]) == 2
    assert anet("inspect", bundle, tmp_path / "a.png", "--rules", strict, "--out", tmp_path / "out3")[0] == 2


def test_the_example_of_the_page_is_sound_and_decides_as_the_page_says(tmp_path):
    page = (ROOT / "docs" / "rules.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "rules.toml").write_text(example)
    assert look_at_rules(tmp_path / "rules.toml")[1] == ()
    rules = read_rules(tmp_path / "rules.toml")
    decided = {
        ((1, 10, 20, 30, 22),): "accept",
        ((1, 10, 20, 50, 22),): "warn",
        ((1, 10, 20, 90, 22),): "reject",
        ((2, 10, 2, 15, 7),): "reject",  # in the edge, 25 px
        ((2, 10, 2, 13, 5),): "accept",  # in the edge, 9 px
        ((2, 10, 30, 15, 35), (2, 20, 30, 25, 35)): "reject",  # 5 px apart
    }
    for rectangles, verdict in decided.items():
        mask, defects = scene(*rectangles)
        assert rules.decide(defects, mask)[0] == verdict, rectangles
    keys = {one for line in page.splitlines() if line.startswith("| `") for one in re.findall(r"`(\w+)`", line)}
    assert keys >= {key for key in RULE_KEYS if "_mm" not in key}


def test_a_check_gives_plain_values(file):
    assert json.loads(json.dumps(check_rules(file).to_dict()))["ok"] is True
