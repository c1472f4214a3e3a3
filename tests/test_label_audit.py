"""Labels that a model contradicts are found, ranked and told in words, and twins labelled apart are laid over."""

import csv
import html
import re
from dataclasses import replace
from io import StringIO

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from anet import auditing, cli, data
from anet.auditing import COLUMNS, FEW, TWIN, audit, print_audit
from anet.data import Sample
from anet.data.overlap import symmetric
from anet.data.similar import Pair, near_duplicates
from anet.data.twins import align, lay_over
from anet.errors import DataError, OptionError, OutputError
from anet.frame import IGNORE
from anet.models import OpenModel
from anet.scoring.conflicts import KINDS, conflicts
from tests.layouts import save
from tests.test_merge import textured
from tests.tiny import make_set

NAMES = ("background", "scratch", "pore")


def square(value: int = 1, at: int = 10, side: int = 20, shape=(64, 64)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[at : at + side, at : at + side] = value
    return mask


def sure(mask: np.ndarray, certainty: float = 0.95, classes: int = 2) -> np.ndarray:
    """Give probabilities of a model that sees `mask`."""
    if classes == 2:
        return np.where(mask > 0, certainty, 1 - certainty).astype(np.float32)[..., None]
    rest = (1 - certainty) / (classes - 1)
    return np.where(np.arange(classes) == mask[..., None], certainty, rest).astype(np.float32)


# conflicts


@given(st.integers(0, 40), st.integers(1, 24), st.sampled_from([2, 3]))
@settings(max_examples=30, deadline=None)
def test_a_model_that_agrees_is_in_no_conflict(at, side, classes):
    mask = square(classes - 1, at, side)
    assert conflicts(sure(mask, classes=classes), mask, 0.5) == []


@pytest.mark.parametrize("classes", [2, 3])
def test_each_kind_is_told_apart(classes):
    label, empty = square(), square(0)
    (one,) = conflicts(sure(empty, classes=classes), label, 0.5)
    assert (one.kind, one.labelled, one.found, one.area_px, one.box) == ("not found", 1, 0, 400, (10, 10, 30, 30))
    (one,) = conflicts(sure(label, classes=classes), empty, 0.5)
    assert (one.kind, one.labelled, one.found, one.area_px) == ("not labelled", 0, 1, 400)
    wider = square(side=30)
    (one,) = conflicts(sure(wider, classes=classes), label, 0.5)
    assert one.kind == "outline" and 0 < one.area_px < 900 - 400
    if classes == 3:
        (one,) = conflicts(sure(square(2), classes=3), label, 0.5)
        assert (one.kind, one.labelled, one.found) == ("another class", 1, 2)
        assert one.words(NAMES) == "400 px at x 10, y 10: labelled scratch, the model says pore (sure to 98 %)"


def test_outlines_a_pixel_apart_are_no_conflict():
    assert conflicts(sure(square(side=21)), square(), 0.5) == []


def test_nothing_is_in_conflict_where_nothing_is_scored():
    ignored = np.where(square() > 0, np.uint8(IGNORE), np.uint8(0))
    assert conflicts(sure(square()), ignored, 0.5) == []


@given(st.floats(0.55, 0.99), st.floats(0.55, 0.99), st.integers(4, 30), st.integers(4, 30))
@settings(max_examples=40, deadline=None)
def test_the_surer_and_the_larger_weighs_more(sure_a, sure_b, side_a, side_b):
    one, other = (
        conflicts(sure(square(side=side), certainty), square(0), 0.5)[0]
        for certainty, side in ((sure_a, side_a), (sure_b, side_b))
    )
    assert 0 <= one.weight <= one.certainty <= 1
    if sure_a >= sure_b and side_a >= side_b:
        assert one.weight >= other.weight - 1e-4


@given(st.randoms(use_true_random=False), st.integers(2, 4))
@settings(max_examples=30, deadline=None)
def test_weights_fall_and_boxes_hold_their_area_whatever_is_set_against_whatever(random, classes):
    rng = np.random.default_rng(random.randrange(2**32))
    label, seen = (
        cv2.resize(rng.integers(0, classes, (6, 6)).astype(np.uint8), (40, 40), interpolation=0) for _ in "ab"
    )
    found = conflicts(sure(seen, classes=classes), label, 0.5)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    for one in found:
        x0, y0, x1, y1 = one.box
        assert one.kind in KINDS and 0 < one.area_px <= (x1 - x0) * (y1 - y0) and one.words((*NAMES, "dent"))


def test_a_model_without_an_answer_is_no_quiet_agreement():
    with pytest.raises(ValueError, match="NaN"):
        conflicts(np.full((8, 8, 1), np.nan, np.float32), np.zeros((8, 8), np.uint8), 0.5)


# twins


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("symmetry", range(8))
def test_a_turned_and_shifted_picture_is_laid_over_pixel_on_pixel(symmetry):
    whole = textured(3, 160)
    a, b = whole[:100, :110], whole[30:140, 20:120]
    turned = symmetric(b, [0, 3, 2, 1, 4, 5, 6, 7][symmetry])  # what `symmetric(_, symmetry)` turns back
    how = "shifted" + ("" if symmetry == 0 else "+mirrored" if symmetry >= 4 else "+rotated")
    assert align(rgb(a), rgb(turned), how) == (symmetry, 30, 20)


def test_strangers_are_not_laid_over():
    assert align(rgb(textured(1)), rgb(textured(2)), "shifted") is None


def test_labels_of_both_are_cut_to_what_both_show(tmp_path):
    whole, mask = textured(3, 160), np.zeros((160, 160), np.uint8)
    mask[50:70, 60:80] = 255
    samples = []
    for name, part in (("a", np.s_[:100, :110]), ("b", np.s_[30:140, 20:120])):
        image = save(tmp_path / f"{name}.png", np.ascontiguousarray(whole[part]))
        samples.append(Sample(name, image, save(tmp_path / f"{name}-m.png", np.ascontiguousarray(mask[part])), 1))
    (pair,) = near_duplicates(samples)
    (found,) = lay_over([pair], samples, 2)
    assert found.image.shape[:2] == found.label_a.shape == (70, 90)
    assert np.array_equal(found.label_a, found.label_b) and found.label_a.sum() == 400
    assert list(lay_over([Pair("a", "b", 1.0, "copy")], samples, 2)) == []  # of another shape: no copy, not laid over


# the whole


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Bright squares with four wrong labels; the last two pictures are one, turned, with labels of their own."""
    folder = make_set(tmp_path_factory.mktemp("audit") / "set")
    for number, part in ((1, "train"), (8, "val"), (10, "test")):
        path = folder / "masks" / part / f"{number}.png"
        save(path, np.zeros_like(cv2.imread(str(path), 0)))
    wide = folder / "masks" / "train" / "2.png"
    save(wide, cv2.dilate(cv2.imread(str(wide), 0), np.ones((17, 17), np.uint8)))
    image = textured(7, 64)
    for name, k, at in (("20", 0, 4), ("21", 1, 30)):
        save(folder / "images/test" / f"{name}.png", np.ascontiguousarray(np.rot90(image, k)))
        save(folder / "masks/test" / f"{name}.png", np.ascontiguousarray(np.rot90(square(1, at), k)))
    return folder


@pytest.fixture
def opened(monkeypatch):
    """Stand for a model that finds what is brighter than the ground, and nothing on the textured twins."""

    def probs(image):
        bright = image[..., 0] > 130
        return sure(np.where(image.std() < 35 and bright.mean() < 0.1, 0, bright))

    model = OpenModel(probs, "anet", ("background", "kind1"), 64, 0.5, "torch", "f32", "0" * 64,
                      {"data": {}, "split": {}, "recipe": {}}, 0, probs)  # fmt: skip
    monkeypatch.setattr(auditing, "open_model", lambda path, threads: model)
    return model


def test_wrong_labels_come_first_and_page_and_list_say_why(squares, opened, tmp_path):
    result = audit(tmp_path, squares, out=tmp_path / "audit.html")
    wrong = {"images/train/1", "images/val/8", "images/test/10", "images/train/2"}
    assert wrong <= {one.sample.name for one in result.audited if one.weight > 0.5}
    right = {f"images/train/{number}" for number in (0, 3, 4, 5)}
    assert not right & {one.sample.name for one in result.audited}
    (apart,) = (one for one in result.apart if one.twins.a == "images/test/20")
    assert apart.twins.b == "images/test/21" and apart.iou == 0 and apart.area_px > 0
    page = (tmp_path / "audit.html").read_text()
    told = html.unescape(page)
    assert "and none is labelled (sure to 95 %)" in told and "the outlines differ by" in told
    assert "not those of the model's training" in told
    assert not re.search(r"<script|https?://|src=\"(?!data:)", page)
    assert page.count("<article") == len(result.audited) + len(result.apart)
    rows = list(csv.DictReader((tmp_path / "audit.csv").read_text().splitlines()))
    assert tuple(rows[0]) == COLUMNS and rows[-1]["kind"] == TWIN and {r["file"] for r in rows} >= {"images/val/8.png"}
    assert all(float(row["weight"]) >= FEW for row in rows)
    said = StringIO()
    print_audit(result, Console(file=said, width=200))
    assert (
        f"in conflict: {len(result.audited)}" in said.getvalue()
        and f"labelled apart: {len(result.apart)}" in said.getvalue()
    )


def test_the_page_says_what_the_model_was_trained_on_and_shows_no_more_than_asked(
    squares, opened, tmp_path, monkeypatch
):
    known = {"data": {"digest": data.load(squares).digest()}, "split": {"protocol": "given", "seed": 0}, "recipe": {}}
    own = replace(opened, provenance=known)
    monkeypatch.setattr(auditing, "open_model", lambda path, threads: own)
    result = audit(tmp_path, squares, out=tmp_path / "a.html", limit=2, twins=False)
    assert result.parts == {"trained on": 8, "validated on": 2, "held out": 6} and result.pairs == 0
    page = html.unescape((tmp_path / "a.html").read_text())
    assert "8 trained on" in page and "· held out" in page and page.count("<article") == 2 and "Not looked for" in page


def test_no_input_and_no_foreign_table_is_written_over(squares, opened, tmp_path):
    mine = tmp_path / "labels.csv"
    mine.write_text("part,ok\n")
    with pytest.raises(OutputError, match=r"labels\.csv is there already and is no list"):
        audit(tmp_path, squares, out=tmp_path / "labels.html")
    assert mine.read_text() == "part,ok\n" and not (tmp_path / "labels.html").exists()
    for _ in "ab":  # its own list may be written again
        audit(tmp_path, squares, out=tmp_path / "mine.html", twins=False)
    with pytest.raises(OutputError, match="inputs are never changed"):
        audit(tmp_path / "mine.html", squares, out=tmp_path / "mine.html")


def test_what_cannot_be_audited_is_said(squares, opened, tmp_path, monkeypatch):
    for how in ({"limit": 0}, {"out": tmp_path / "page.csv"}):
        with pytest.raises(OptionError, match="a picture or more"):
            audit(tmp_path, squares, **how)
    monkeypatch.setattr(auditing, "open_model", lambda path, threads: replace(opened, class_names=NAMES))
    with pytest.raises(DataError, match="do not fit"):
        audit(tmp_path, squares, out=tmp_path / "a.html")
    monkeypatch.undo()
    (tmp_path / "nothing").mkdir()
    done = CliRunner().invoke(cli.app, ["data", "audit", str(tmp_path / "nothing"), str(squares)])
    assert done.exit_code == 2 and "no run folder" in done.output
    assert not list(tmp_path.glob("*.html")) and not list(tmp_path.glob("*.csv"))
