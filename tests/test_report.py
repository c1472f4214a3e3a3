"""The report: one file that needs nothing, runs nothing, and shows the worst first."""

import base64
import math
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anet.errors import OutputError
from anet.frame import IGNORE
from anet.scoring import report
from anet.scoring.curves import curves, ticks
from anet.scoring.page import POLICY
from anet.scoring.report import FALSE, FOUND, IGNORED, MISSED, MISTAKEN, Table, Tile, write_report

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\nb\rc\x1b[31m\u202egnp.exe",
    "bad\udcff\udc80bytes",
    "'&amp;</title></style><iframe src=//evil.example>",
    "javascript:alert(1)",
    "x" * 255,
)
TEXTS = {"h1", "h2", "h3", "h4", "dt", "dd", "td", "th", "p", "title", "b", "figcaption"}
VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text inside the tags that show names."""

    def __init__(self, content):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.open = [], [], []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] if tag not in VOID else []
        if tag in TEXTS:
            self.texts.append((tag, ""))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if self.open and self.open[-1] in TEXTS and self.texts:
            self.texts[-1] = (self.texts[-1][0], self.texts[-1][1] + data)

    def shown(self, tag):
        return [text for name, text in self.texts if name == tag]

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def tile(name="a", iou=0.5, side=40, note=""):
    rng = np.random.default_rng(len(name))
    truth, predicted = np.zeros((2, side, side), np.uint8)
    truth[5:15, 5:15] = predicted[8:18, 5:15] = 1
    return Tile(name, rng.integers(0, 255, (side, side, 3), np.uint8), truth, predicted, iou, note)


def written(tmp_path, title="t", facts=None, history=(), tables=(), tiles=(), **more):
    path = write_report(tmp_path / "report.html", title, facts or {}, list(history), list(tables), list(tiles), **more)
    content = path.read_bytes().decode("utf-8")
    return content, Page(content)


HISTORY = [{"epoch": e, "train_loss": 1 / e, "val_loss": 1.2 / e, "val_iou": 1 - 1 / e} for e in range(1, 9)]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_from_outside_can_leave_its_place(tmp_path, text):
    arguments = {"history": HISTORY, "title": "t", "facts": {"k": "v"}}
    _, plain = written(tmp_path, tables=[Table("T", ("h",), (("c",),), "n")], tiles=[tile("n", note="n")], **arguments)
    arguments |= {"title": text, "facts": {text: text}}
    content, page = written(
        tmp_path, tables=[Table(text, (text,), ((text,),), text)], tiles=[tile(text, note=text)], **arguments
    )
    assert [name for name, _ in page.tags] == [name for name, _ in plain.tags]
    assert [sorted(attrs) for _, attrs in page.tags] == [sorted(attrs) for _, attrs in plain.tags]
    assert len(page.texts) == len(plain.texts)
    name = page.shown("h4")[0]
    assert name == page.shown("h1")[0] == page.shown("td")[0] == page.shown("dt")[0]
    assert name.isprintable() and "�" not in content
    if text.isprintable():
        assert name == text  # what a person reads is the name itself


def test_nothing_is_fetched_and_nothing_runs(tmp_path):
    content, page = written(tmp_path, history=HISTORY, tiles=[tile(str(i), i / 10) for i in range(5)])
    for tag, attrs in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form", "audio", "video", "use", "image"}
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}:
                assert value.startswith("data:")
    assert "@import" not in content and "url(" not in content and "//" not in report_without_pictures(content)
    policies = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [POLICY] == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def report_without_pictures(content):
    return "".join(part.partition('"')[2] for part in content.split("data:image/jpeg;base64,"))


def test_an_evaluation_has_no_curves_but_all_else(tmp_path):
    _, page = written(tmp_path, facts={"Data": "x"}, tables=[Table("Scores", ("IoU",), ((0.5,),))], tiles=[tile()])
    assert page.count("svg") == 0 and page.shown("h2") == ["Scores", "Pictures"] and page.shown("td") == ["0.5000"]


def test_a_report_of_nothing_is_still_a_page(tmp_path):
    _, page = written(tmp_path, title="empty")
    assert page.shown("h1") == ["empty"] and page.count("h2") == 0


def test_gaps_in_the_history_are_gaps_in_the_curve():
    history = [{"epoch": e, "val_iou": v} for e, v in enumerate((0.1, 0.2, math.nan, None, 0.4, math.inf, 0.6), 1)]
    drawn = curves(history)
    assert drawn.count("<polyline") == 3 and "nan" not in drawn and "inf" not in drawn and "None" not in drawn
    assert "highest 0.6 at epoch 7" in drawn and "Loss" not in drawn


def test_a_selection_of_many_is_told_as_such(tmp_path):
    """`anet eval` hands over no more than what may be shown."""
    tiles = [tile(f"a{number}", 0.01 * number) for number in range(report.WORST + report.BEST)]
    _, page = written(tmp_path, tiles=tiles, scored=840)
    said = f"The {report.WORST} worst of 840 pictures are shown, the worst first, and the {report.BEST} best."
    assert any(said in p for p in page.shown("p")) and page.shown("h3") == ["The best"]


@pytest.mark.parametrize(("kept", "shown"), [(6, True), (7.0, True), (8, False), (None, False), ("?", False)])
def test_the_epoch_that_was_kept_is_marked_where_it_is_among_those_drawn(kept, shown):
    drawn = curves([{"epoch": e, "val_iou": v} for e, v in ((5, 0.7), (6, 0.6), (7, 0.65))], kept)
    assert "highest 0.7 at epoch 5" in drawn
    assert drawn.count('class="kept"') == 2 * shown
    assert not shown or f"kept: epoch {kept:g}<" in drawn


@pytest.mark.parametrize(
    "history", [[], [{}], [{"epoch": 1, "val_iou": None, "train_loss": math.nan}], [{"epoch": None, "val_loss": 1.0}]]
)
def test_a_history_without_a_number_draws_nothing(history):
    assert curves(history) == ""


VALUES = st.floats() | st.sampled_from((None, 0, 10**400, True, "", "x", "nan"))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"epoch": st.integers(0, 3000)},
            optional={k: VALUES for k in ("train_loss", "val_loss", "val_iou")},
        ),
        max_size=12,
    )
)
def test_any_history_gives_well_formed_figures(history):
    page = Page(curves(history))
    assert not page.open
    for tag, attrs in page.tags:
        if tag in {"polyline", "circle", "line", "text"}:
            assert not any("nan" in value or "inf" in value for value in attrs.values() if value)


@settings(deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_ticks_are_few_rising_and_hold_the_range(low, span):
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 8 and found == sorted(set(found))
    slack = 1e-6 * (found[-1] - found[0]) + 1e-9
    assert found[0] <= low + slack and found[-1] >= low + span - slack


def test_the_worst_come_first_and_sound_ones_last(tmp_path):
    ious = {"good": 0.9, "sound": math.nan, "clean": None, "bad": 0.1, "worst": 0.0}
    _, page = written(tmp_path, tiles=[tile(name, iou) for name, iou in ious.items()])
    assert page.shown("h4") == ["worst", "bad", "good", "clean", "sound"]
    assert page.shown("b") == ["IoU 0.000", "IoU 0.100", "IoU 0.900", "sound", "sound"]
    assert any("All 5 pictures are shown" in note for note in page.shown("p"))


def test_of_many_the_worst_and_the_best_are_shown_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "WORST", 3)
    monkeypatch.setattr(report, "BEST", 2)
    _, page = written(tmp_path, tiles=[tile(f"{i:02d}", i / 20) for i in range(20)])
    assert page.shown("h4") == ["00", "01", "02", "18", "19"]
    assert any("The 3 worst of 20 pictures are shown, the worst first, and the 2 best." in p for p in page.shown("p"))


def test_a_selection_says_of_how_many_it_is(tmp_path):
    _, page = written(tmp_path, tiles=[tile()], scored=700)
    assert any("The 1 worst of 700 pictures are shown" in p for p in page.shown("p"))


def test_a_hundred_large_pictures_of_pure_noise_stay_below_the_limit(tmp_path):
    noisy = tile(side=400)
    tiles = [Tile(f"{i:03d}", noisy.image, noisy.truth, noisy.predicted, i / 100) for i in range(100)]
    content, page = written(tmp_path, tiles=tiles)
    shown = page.shown("h4")
    assert len(content) < 8_000_000 and 10 < len(shown) < 100
    assert shown[0] == "000" and any(" of 100 pictures are shown" in p for p in page.shown("p"))


def test_pictures_are_reduced_and_keep_their_shape(tmp_path):
    image = np.zeros((200, 800, 3), np.uint8)
    mask = np.zeros((200, 800), np.uint8)
    _, page = written(tmp_path, tiles=[Tile("wide", image, mask, mask, None)])
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 3
    for source in sources:
        content = base64.b64decode(source.partition(",")[2], validate=True)
        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (80, 320, 3)


def test_each_kind_of_error_has_its_own_colour():
    truth = np.array([[1, 1, 0, 0, 1, IGNORE]], np.uint8)
    predicted = np.array([[1, 0, 1, 0, 2, 1]], np.uint8)
    seen = set()
    image = np.full((1, 6, 3), 100, np.uint8)
    view = report.judged(image, truth, predicted, seen)
    wanted = [FOUND, MISSED, FALSE, None, MISTAKEN, IGNORED]
    for pixel, colour in zip(view[0].astype(int), wanted, strict=True):
        assert np.abs(pixel - ((95, 95, 95) if colour is None else colour)).max() < 30
    assert seen == {FOUND, MISSED, FALSE, MISTAKEN, IGNORED} and (image == 100).all()


def test_a_line_of_one_pixel_survives_the_reduction():
    mask = np.zeros((2000, 1500), np.uint8)
    mask[:, 701] = 2
    mask[1000:] = np.where(mask[1000:] == 0, IGNORE, mask[1000:])
    small = report.shrink_mask(mask, (320, 240))
    assert ((small == 2).sum(axis=1) >= 1).all()
    assert (small[:150] != IGNORE).all() and (small[170:] == IGNORE).any()


def test_numbers_in_tables_are_short_and_missing_ones_a_dash(tmp_path):
    rows = (("a", 1, 0.123456, None), ("b", 22, 1234.56, math.nan), ("c", 3, np.float32(0.5), math.inf))
    _, page = written(tmp_path, tables=[Table("T", ("name", "n", "x", "y"), rows)])
    assert page.shown("td") == ["a", "1", "0.1235", "–", "b", "22", "1235", "–", "c", "3", "0.5000", "–"]
    assert [attrs.get("class") for tag, attrs in page.tags if tag == "th"] == [None, "number", "number", "number"]


def test_a_target_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "file" / "report.html", "t", {}, [], [], [])
