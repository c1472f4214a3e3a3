"""Inspection without torch: what is damaged gets no verdict, what is written is whole."""

import csv
import dataclasses
import io
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from anet import frame
from anet.errors import ImageError, ModelError, OptionError, OutputError
from anet.files import UNSEALED, seal, sha256
from anet.image import LIMITS, overlay, read_image, read_mask
from anet.runtime import results
from anet.runtime.ahead import WAITING
from anet.runtime.card import BIN, CARD, FORMAT, XML, read_bundle
from anet.runtime.engine import Engine
from anet.runtime.engines.compiled import core, ov
from anet.runtime.inspector import Inspector, Report
from anet.runtime.measuring.measure import Defect
from anet.runtime.progress import shown_progress
from anet.runtime.results import Summary, inspect_paths, print_summary
from anet.runtime.verdicts.rules import VERDICTS, Rule, Rules
from tests.test_export import SIZE, exported, frames


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(exported(), tmp_path / "model"))


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector(exported(), threads=1)


def picture(seed: int = 0, h: int = 40, w: int = 56) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def png(image: np.ndarray | None = None) -> bytes:
    return cv2.imencode(".png", picture() if image is None else image)[1].tobytes()


def reseal(bundle: Path, **changed) -> None:
    facts = json.loads((bundle / CARD).read_bytes()) | {"sha256": UNSEALED} | changed
    (bundle / CARD).write_bytes(seal(json.dumps(facts).encode()))


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text("ascii").splitlines()]


def rows_of(out: Path) -> list[dict]:
    text = (out / "defects.csv").read_bytes().decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(text, newline="")))


# bundles


def test_every_changed_bit_of_a_bundle_is_noticed_before_openvino_sees_it(bundle, monkeypatch):
    monkeypatch.setattr(ov, "Core", lambda: pytest.fail("OpenVINO was given damaged bytes"))
    chance = random.Random(0)
    for name in (XML, BIN, CARD):
        whole = (bundle / name).read_bytes()
        for _ in range(100):
            bit = chance.randrange(8 * len(whole))
            broken = bytearray(whole)
            broken[bit // 8] ^= 1 << bit % 8
            (bundle / name).write_bytes(broken)
            with pytest.raises(ModelError) as caught:
                Engine(bundle)
            assert "\n" not in str(caught.value), (name, bit)
        (bundle / name).write_bytes(whole)
    read_bundle(bundle)


@pytest.mark.parametrize("name", [CARD, XML, BIN])
def test_a_bundle_cut_short_emptied_or_missing_a_file_is_refused(bundle, name):
    whole = (bundle / name).read_bytes()
    for content in (whole[:-1], whole[: len(whole) // 2], b"", whole + b" "):
        (bundle / name).write_bytes(content)
        with pytest.raises(ModelError):
            Engine(bundle)
    (bundle / name).unlink()
    with pytest.raises(ModelError, match=r"cannot read|is no model bundle"):
        Engine(bundle)


@pytest.mark.parametrize("path, says", [("a" * 300, "cannot read .*too long"), ("x\0y", "is no model bundle")])
def test_a_path_that_the_system_refuses_is_told_as_a_fault_of_the_model(path, says):
    with pytest.raises(ModelError, match=says):
        Engine(path)


def test_a_file_of_another_bundle_is_refused(bundle):
    shutil.copy(exported(4) / BIN, bundle / BIN)
    with pytest.raises(ModelError, match=r"model\.bin is damaged"):
        Engine(bundle)


def test_a_newer_format_says_update(bundle):
    reseal(bundle, format=FORMAT + 1)
    with pytest.raises(ModelError, match="a newer anet wrote it, update"):
        Engine(bundle)


@pytest.mark.parametrize(
    "changed",
    [
        {"channels": 3},
        {"class_names": ["background"]},
        {"class_names": "ab"},
        {"class_names": None},
        {"class_names": [1, 2]},
        {"h": 63},
        {"h": -64},
        {"h": "64"},
        {"h": 0},
        {"h": 0, "w": 0},
        {"h": 2**40},
        {"picture_px": -1},
        {"large_px": True},
        {"mean_grey": (9,)},
        {"mean_grey": (20, 10)},
        {"mean_grey": (0, 256)},
        {"precision": "f8"},
        {"threshold": float("nan")},
        {"threshold": "0.5"},
        {"min_area_px": 0.5},
        {"mean": [0.5]},
        {"std": 1},
        {"files": []},
        {"files": {}},
    ],
    ids=str,
)
def test_a_sealed_card_of_nonsense_is_refused_in_one_line(bundle, changed):
    reseal(bundle, **changed)
    with pytest.raises(ModelError) as caught:
        Engine(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"7", b'{"format": 1}', b"\xff", b"[" * 100_000])
def test_a_card_of_someone_else_is_refused(bundle, content):
    (bundle / CARD).write_bytes(content)
    with pytest.raises(ModelError, match="no checksum"):
        Engine(bundle)
    (bundle / CARD).write_bytes(seal(content + f' {{"sha256": "{UNSEALED}"}}'.encode()))
    with pytest.raises(ModelError, match="not a model card"):
        Engine(bundle)


def test_what_is_no_bundle_gets_a_hint(tmp_path, bundle):
    with pytest.raises(ModelError, match="give its folder"):
        Engine(bundle / XML)
    with pytest.raises(ModelError, match="anet export"):
        Engine(tmp_path)
    with pytest.raises(ModelError, match="anet export"):
        Engine(tmp_path / "absent")


def test_a_pipe_in_a_bundle_is_refused_without_waiting(bundle):
    (bundle / BIN).unlink()
    os.mkfifo(bundle / BIN)
    with pytest.raises(ModelError, match="no plain file"):
        Engine(bundle)


def test_a_graph_that_is_not_what_its_card_says_is_refused(bundle):
    names = ["background", "a", "b"]
    reseal(bundle, class_names=names, channels=3)
    with pytest.raises(ModelError, match="the card promises"):
        Engine(bundle)


def test_a_sealed_graph_that_openvino_cannot_read_is_a_model_error(bundle):
    (bundle / XML).write_bytes(b"<net")
    reseal(bundle, files={XML: sha256(b"<net"), BIN: sha256((bundle / BIN).read_bytes())})
    with pytest.raises(ModelError, match="OpenVINO cannot load") as caught:
        Engine(bundle)
    assert "\n" not in str(caught.value)


# engine


def test_the_engine_computes_in_float32_with_the_stated_threads():
    model = Engine(exported(), threads=1)._engine.model
    assert model.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
    assert model.get_property("INFERENCE_NUM_THREADS") == 1
    assert model.get_property("PERFORMANCE_HINT") == "LATENCY"


def test_many_threads_get_the_answers_of_one():
    engine = Engine(exported(), threads=1)
    pictures = frames(12)
    alone = [engine.probs(one) for one in pictures]
    barrier = threading.Barrier(4)

    def work(number: int) -> list[np.ndarray]:
        barrier.wait()
        return [engine.probs(pictures[(number + step) % 12]) for step in range(24)]

    with ThreadPoolExecutor(4) as pool:
        for number, answers in enumerate(pool.map(work, range(4))):
            for step, answer in enumerate(answers):
                assert np.array_equal(answer, alone[(number + step) % 12])
    assert len(engine._engine.idle) <= 4


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_answers_nan_gives_no_verdict(bundle, value):
    graph = core().read_model(bundle / XML)
    source = graph.output(0).get_node().input_value(0)
    poison = ov.opset13.multiply(source, ov.opset13.constant(np.float32(value)))
    graph.output(0).get_node().input(0).replace_source_output(poison.output(0))
    blob = {name: str(bundle / f"new-{name}") for name in (XML, BIN)}
    ov.serialize(graph, blob[XML], blob[BIN])
    for name, path in blob.items():
        os.replace(path, bundle / name)
    reseal(bundle, files={name: sha256((bundle / name).read_bytes()) for name in (XML, BIN)})
    with pytest.raises(ModelError, match="NaN or infinity"):
        Inspector(bundle)(picture())


def test_a_negative_number_of_threads_is_refused():
    with pytest.raises(OptionError, match="threads is -1"):
        Engine(exported(), threads=-1)


# inspector


def test_a_picture_a_file_and_its_bytes_give_the_same_report(tmp_path, inspector):
    image = picture()
    path = tmp_path / "one.png"
    path.write_bytes(png(image[..., ::-1]))
    reports = [inspector(image), inspector(path), inspector(str(path)), inspector(path.read_bytes())]
    assert [one.name for one in reports] == ["picture", str(path), str(path), "picture"]
    for one in reports:
        assert np.array_equal(one.mask, reports[0].mask) and one.defects == reports[0].defects
        assert (one.h, one.w, one.mask.shape, one.mask.dtype) == (40, 56, (40, 56), np.uint8)
        assert one.model == inspector.card.id and set(one.timing_ms) == {"decode", "pre", "infer", "post"}
        assert min(one.timing_ms.values()) >= 0


def test_a_defect_of_the_least_area_rejects_and_none_accepts(inspector):
    found = inspector(picture())
    assert found.verdict == "reject" and 0 < found.mask.sum() == sum(one.area_px for one in found.defects)
    largest = found.defects[0].area_px
    strict, lax = (Inspector(exported(), min_area_px=area, threads=1)(picture()) for area in (largest, largest + 1))
    assert (strict.verdict, strict.defects[0]) == ("reject", found.defects[0])
    assert (lax.verdict, lax.defects) == ("accept", ()) and np.array_equal(lax.mask, found.mask)


def test_a_higher_threshold_never_finds_more(inspector):
    low, high = (Inspector(exported(), threshold=value, threads=1)(picture()).mask for value in (0.3, 0.7))
    assert (low >= high).all() and low.sum() > high.sum()


def test_several_classes_are_named():
    report = Inspector(exported(4), threads=1)(picture(3))
    names = ("background", "inclusion", "big scratch", "patch")
    assert report.defects and all(one.class_name == names[one.class_id] for one in report.defects)


@pytest.mark.parametrize(("h", "w"), [(1, 1), (1, 300), (300, 1), (SIZE, SIZE), (97, 131)])
def test_any_shape_comes_back_in_its_own(inspector, h, w):
    assert inspector(picture(0, h, w)).mask.shape == (h, w)


def test_the_report_is_plain_json_without_the_mask(inspector):
    record = json.loads(json.dumps(inspector(picture()).to_dict(), allow_nan=False))
    heads = ["name", "model", "engine", "precision", "threshold", "min_area_px", "rules", "h", "w", "verdict"]
    assert list(record) == [*heads, "reasons", "view", "defects", "timing_ms"]


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((0, 5, 3), np.uint8),
        b"",
        b"not a picture",
        png()[:-40],
        Path("absent.png"),
        None,
    ],
    ids=["grey", "alpha", "float", "empty", "no bytes", "text", "half", "absent", "none"],
)
def test_what_cannot_be_read_gets_an_error_and_no_verdict(inspector, bad):
    with pytest.raises(ImageError):
        inspector(bad)


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": float("nan")}, {"min_area_px": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Inspector(exported(), **options)


# many pictures


def test_a_folder_gives_one_line_a_picture_and_one_row_a_defect(tmp_path, inspector):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "in" / "deep" / f"{number}.png").write_bytes(png(picture(number)))
    (tmp_path / "in" / "broken.png").write_bytes(png()[:100])
    (tmp_path / "in" / "readme.txt").write_text("no picture")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "in").rglob("*.*")}
    seen, out = [], tmp_path / "out"
    summary = inspect_paths(inspector, [tmp_path / "in"], out, "all", seen.append)
    assert isinstance(summary, Summary) and summary.to_dict()["pictures"] == 4
    assert (summary.pictures, summary.accepted + summary.rejected, summary.errors) == (4, 3, 1)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "in").rglob("*.*")} == before
    assert sorted(one.name for one in out.iterdir()) == ["defects.csv", "masks", "overlays", "results.jsonl"]
    assert [step.pictures for step in seen] == [1, 2, 3, 4] and seen[-1].errors == 1
    assert [step.accepted + step.rejected + step.errors for step in seen] == [1, 2, 3, 4]
    lines, rows = lines_of(out), rows_of(out)
    listed = [tmp_path / "in" / name for name in ("broken.png", "deep/0.png", "deep/1.png", "deep/2.png")]
    assert [line["file"] for line in lines] == [str(path) for path in listed]
    assert [set(line) for line in lines if "error" in line] == [{"file", "error"}]
    for line in (line for line in lines if "error" not in line):
        report = inspector(Path(line["file"]))
        assert line["defects"] == [one.to_dict() for one in report.defects] and line["verdict"] == report.verdict
        assert np.array_equal(read_mask(out / line["mask"]), report.mask * 255)
        assert read_image(out / line["overlay"]).shape == (report.h, report.w, 3)
        mine = [row for row in rows if row["file"] == line["file"]]
        assert [int(row["area_px"]) for row in mine] == [one.area_px for one in report.defects]
        assert [int(row["defect"]) for row in mine] == list(range(1, len(mine) + 1))
    assert len(rows) == sum(len(line.get("defects", ())) for line in lines)


@pytest.mark.parametrize("band", [1, 150, 500])
def test_an_overlay_drawn_in_bands_is_the_overlay(monkeypatch, band):
    monkeypatch.setattr(frame, "BAND", band)
    image, mask = picture(), np.random.default_rng(0).choice(np.array([0, 0, 1, 2, 255], np.uint8), (40, 56))
    mask = cv2.resize(mask[::4, ::4], (56, 40), interpolation=cv2.INTER_NEAREST)
    wanted = overlay(image, mask)
    results._lay_over(image, mask)
    assert np.array_equal(image, wanted) and not np.array_equal(image, picture())


def test_an_operator_sees_how_far_it_is_and_a_log_sees_nothing(tmp_path, inspector):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png() if number else b"")
    for terminal in (True, False):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=terminal, width=120, color_system=None)
        with shown_progress([tmp_path], console) as progress:
            inspect_paths(inspector, [tmp_path], tmp_path.with_name(f"out-{terminal}"), progress=progress)
        if terminal:
            assert "3/3 pictures" in shown.getvalue() and "2 rejected · 1 errors" in shown.getvalue()
        else:
            assert shown.getvalue() == ""


def test_masks_of_several_classes_hold_ids_and_overlays_can_be_left_out(tmp_path):
    inspector = Inspector(exported(4), threads=1)
    path = tmp_path / "a.png"
    path.write_bytes(png(picture(3)))
    inspect_paths(inspector, [path], tmp_path / "out", overlays="none")
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "a.png"), inspector(path).mask)
    assert not (tmp_path / "out" / "overlays").exists() and "overlay" not in lines_of(tmp_path / "out")[0]


@pytest.mark.parametrize(("overlays", "quiet", "marked"), [("found", False, True), ("all", True, True)])
def test_an_overlay_is_drawn_where_something_was_found_or_everywhere(tmp_path, overlays, quiet, marked):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    for threshold, wanted in ((0.999999, quiet), (0.000001, marked)):
        out = tmp_path / f"out-{wanted}-{threshold}"
        inspector = Inspector(exported(), threads=1, threshold=threshold)
        inspect_paths(inspector, [path], out, overlays)
        assert bool(inspector(path).mask.any()) == (threshold < 0.5)
        assert ("overlay" in lines_of(out)[0]) == (out / "overlays" / "a.png").exists() == wanted


def test_a_rule_that_fired_on_nothing_found_is_shown(tmp_path):
    inspector, path = Inspector(exported(), threads=1, threshold=0.999999), tmp_path / "a.png"
    path.write_bytes(png())
    report = dataclasses.replace(inspector(path), verdict="warn")
    drawn = results._draw(picture(), report, "found", True)
    assert drawn.overlay is not None and not report.mask.any()


def test_overlays_of_another_word_are_refused(tmp_path, inspector):
    with pytest.raises(OptionError, match="found, all or none"):
        inspect_paths(inspector, [tmp_path], tmp_path / "out", "some")
    assert not (tmp_path / "out").exists()


NAMES = [
    b"x" * 251 + b".png", b"y" * 250 + b".jpeg", "é".encode() * 125 + b".png", b"new\nline.png",
    b"not-utf8-\xff\xfe.png", "\u202egnp.live.png".encode(), b"%2e%2e%2f..%2fetc.png", b"=HYPERLINK(1).png", b"-rf.png",
    b"+1.png", b"@cmd.png", b'quote".png', b"comma,.png", b"<b>bold<b>.png", b" space .png", "雪.png".encode(),
]  # fmt: skip


def test_every_name_gets_its_own_result_and_comes_back_the_same(tmp_path, inspector):
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    content = {name: png(picture(number)) for number, name in enumerate(NAMES)}
    for name, data in content.items():
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(data)
    out = tmp_path / "out"
    summary = inspect_paths(inspector, [tmp_path / "in"], out)
    lines, rows = lines_of(out), rows_of(out)
    assert (summary.pictures, summary.errors) == (len(NAMES), 0)
    assert {os.fsencode(line["file"]) for line in lines} == {os.path.join(folder, name) for name in NAMES}
    for key in ("mask", "overlay"):
        assert len({line[key].casefold() for line in lines}) == len(NAMES)
        assert all(line[key].isprintable() and (out / line[key]).is_file() for line in lines)
    assert {row["file"] for row in rows} == {line["file"] for line in lines if line["defects"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_carriage_return_in_a_name_makes_no_row_of_its_own(tmp_path, inspector):
    (tmp_path / "return\r.png").write_bytes(png())
    inspect_paths(inspector, [tmp_path / "return\r.png"], tmp_path / "out")
    assert {row["file"] for row in rows_of(tmp_path / "out")} == {str(tmp_path / "return\r.png")}


def test_cells_that_a_spreadsheet_would_run_are_quoted(tmp_path, inspector, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("=1+1.png").write_bytes(png())
    inspect_paths(inspector, [Path("=1+1.png")], "out")
    assert {row["file"] for row in rows_of(tmp_path / "out")} == {"'=1+1.png"}
    assert lines_of(tmp_path / "out")[0]["file"] == "=1+1.png"


def test_equal_stems_overwrite_nothing(tmp_path, inspector):
    paths = [tmp_path / name for name in ("a/x.png", "b/x.png", "b/x.bmp", "b/X.png", "c/x.png")]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, picture(number))[1].tobytes())
    inspect_paths(inspector, [*paths, paths[0], paths[0]], tmp_path / "out")
    lines = lines_of(tmp_path / "out")
    assert len({line["mask"] for line in lines}) == len({line["overlay"] for line in lines}) == 7
    assert lines[0]["mask"] == "masks/x.png"
    for line in lines:
        assert np.array_equal(read_mask(tmp_path / "out" / line["mask"]), inspector(Path(line["file"])).mask * 255)


@pytest.mark.parametrize("out", [".", "out", "deep/out", "link/out"])
def test_an_output_folder_among_the_pictures_is_refused(tmp_path, inspector, out):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    (folder / "link").symlink_to(folder)
    with pytest.raises(OptionError, match="give one outside"):
        inspect_paths(inspector, [folder], folder / out)
    assert sorted(one.name for one in folder.iterdir()) == ["a.png", "link"]


def test_own_overlays_met_through_a_link_are_not_inspected(tmp_path, inspector):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "z").mkdir(parents=True)
    out.mkdir()
    (folder / "a.png").write_bytes(png())
    (folder / "z" / "back").symlink_to(out)
    assert inspect_paths(inspector, [folder], out).pictures == 1


def test_results_of_an_earlier_run_are_never_mixed_with(tmp_path, inspector):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    inspect_paths(inspector, [path], tmp_path / "out")
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    with pytest.raises(OutputError, match="holds results already"):
        inspect_paths(inspector, [path], tmp_path / "out")
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("accepted", "rejected", "errors", "warned", "code"),
    [(3, 0, 0, 0, 0), (2, 0, 0, 1, 3), (1, 1, 0, 1, 1), (2, 1, 0, 0, 1), (1, 1, 1, 0, 2), (1, 0, 1, 1, 2)],
)
def test_the_exit_code_says_the_worst_that_happened(accepted, rejected, errors, warned, code):
    assert Summary(3, accepted, rejected, errors, 1.0, warned).exit_code == code


def test_no_picture_at_all_is_an_error_and_leaves_room_for_the_next_try(tmp_path, inspector):
    (tmp_path / "in").mkdir()
    with pytest.raises(ImageError, match="no picture"):
        inspect_paths(inspector, [tmp_path / "in"], tmp_path / "out")
    (tmp_path / "in" / "a.png").write_bytes(png())
    assert inspect_paths(inspector, [tmp_path / "in"], tmp_path / "out").pictures == 1


def test_an_output_that_cannot_be_written_is_an_error_before_the_first_picture(tmp_path, inspector):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        inspect_paths(inspector, [tmp_path / "a.png"], tmp_path / "file")


def test_ctrl_c_keeps_what_is_complete_and_says_so(tmp_path, inspector):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(png())

    def interrupt(so_far: Summary) -> None:
        if so_far.pictures == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"2 pictures are complete in .*results\.jsonl\.part"):
        inspect_paths(inspector, paths, tmp_path / "out", progress=interrupt)
    lines = (tmp_path / "out" / "results.jsonl.part").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == [str(path) for path in paths[:2]]
    assert not (tmp_path / "out" / "results.jsonl").exists()


@pytest.mark.parametrize(("grey", "limit"), [
    (0, "min_mean_grey"), (29, "min_mean_grey"), (31, None), (200, None), (226, None), (229, "max_mean_grey"),
    (255, "max_mean_grey"),
])  # fmt: skip
@pytest.mark.parametrize("verdict", ["accept", "warn", "reject"])
def test_a_picture_lit_as_none_of_the_training_is_at_least_warned_of(monkeypatch, grey, limit, verdict):
    rules = Rules((Rule("always", verdict, {"max_count": -1}),) if verdict != "accept" else ())
    inspector = Inspector(exported(), rules, threads=1)
    image = np.full((40, 60, 3), grey, np.uint8)
    unknown = inspector(image)
    assert (unknown.verdict, unknown.view.mean_grey) == (verdict, grey)  # this model does not know its training's light
    monkeypatch.setattr(inspector, "card", dataclasses.replace(inspector.card, mean_grey=(60, 200)))
    found = inspector(image)
    assert found.verdict == (max(verdict, "warn", key=VERDICTS.index) if limit else verdict)
    assert found.reasons[: len(unknown.reasons)] == unknown.reasons
    assert [reason.limit for reason in found.reasons[len(unknown.reasons) :]] == [limit] * (limit is not None)
    assert found.to_dict()["view"]["mean_grey"] == grey
    monkeypatch.setattr(inspector, "any_light", True)
    assert inspector(image).reasons == unknown.reasons


@pytest.mark.parametrize("away", [lambda out: out.rename(out.with_name("monday")), shutil.rmtree])
def test_a_folder_of_results_that_is_moved_or_removed_ends_the_run_at_once(tmp_path, inspector, away):
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(png())
    out, seen = tmp_path / "out", []

    def after(so_far: Summary) -> None:
        seen.append(so_far.pictures)
        if so_far.pictures == 3:
            away(out)

    with pytest.raises(OutputError, match=r"\.part: it was moved or removed while"):
        inspect_paths(inspector, sorted(tmp_path.glob("*.png")), out, progress=after)
    assert seen == [1, 2, 3]


def test_the_results_of_another_run_are_not_given_our_name(tmp_path, inspector):
    (tmp_path / "a.png").write_bytes(png())
    out, theirs = tmp_path / "out", "another run's line\n"

    def after(so_far: Summary) -> None:
        (out / "results.jsonl.part").unlink()
        (out / "results.jsonl.part").write_text(theirs)

    with pytest.raises(OutputError, match="moved or removed"):
        inspect_paths(inspector, [tmp_path / "a.png"], out, progress=after)
    assert not (out / "results.jsonl").exists() and (out / "results.jsonl.part").read_text() == theirs


def test_a_full_disk_leaves_no_half_line(tmp_path, inspector, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        path.write_bytes(png())
    write, count = os.write, [0]

    def nearly_full(handle: int, content: bytes) -> int:
        count[0] += content.startswith(b"{")
        return write(handle, content[:20] if count[0] == 2 else content)

    monkeypatch.setattr(results.os, "write", nearly_full)
    with pytest.raises(OutputError, match="disk is full"):
        inspect_paths(inspector, paths, tmp_path / "out")
    lines = (tmp_path / "out" / "results.jsonl.part").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == [str(paths[0])]


def test_a_picture_on_which_the_model_answers_nan_is_an_error_and_not_good(tmp_path, inspector, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path in paths:
        path.write_bytes(png())
    probs = inspector.engine.probs
    answers = iter([ModelError("NaN"), None])

    def sometimes(frame):
        error = next(answers)
        if error:
            raise error
        return probs(frame)

    monkeypatch.setattr(inspector.engine, "probs", sometimes)
    summary = inspect_paths(inspector, paths, tmp_path / "out")
    assert (summary.errors, summary.accepted + summary.rejected) == (1, 1)
    assert lines_of(tmp_path / "out")[0] == {"file": str(paths[0]), "error": "NaN"}


def test_ten_thousand_pictures_take_no_more_memory_than_ten(tmp_path, monkeypatch):
    """What a run keeps must not grow: the reports, masks and names of earlier pictures are gone."""
    alive = []

    class Stub(Inspector):
        card, threads, bundle = read_bundle(exported())[0], 2, exported()

        def __init__(self):
            pass

        def look(self, picture, name=None, limits=LIMITS):
            report = Report(str(picture), 2, 2, "accept", (), {}, np.zeros((2, 2), np.uint8), "m")
            alive[:] = [one for one in alive if one() is not None]
            assert len(alive) <= 2 * self.threads + 2 + WAITING
            alive.append(weakref.ref(report))
            return np.zeros((2, 2, 3), np.uint8), report

    monkeypatch.setattr(results, "atomic_write", lambda *_: None)
    many = (tmp_path / f"{number}.png" for number in range(10_000))
    monkeypatch.setattr(results, "list_images", lambda *_: many)
    assert inspect_paths(Stub(), [tmp_path / "absent"], tmp_path / "out").pictures == 10_000


# a process of its own

ALONE = """
import socket, sys
if {blocked}:
    sys.modules["torch"] = None
connected = []
socket.socket.connect = lambda *a, **k: connected.append(a)
import anet.runtime.results, anet.runtime.inspector
from pathlib import Path
inspector = anet.runtime.inspector.Inspector(sys.argv[1], threads=1)
summary = anet.runtime.results.inspect_paths(inspector, [Path(sys.argv[2])], sys.argv[3])
assert (summary.pictures, summary.errors) == (1, 0), summary
loaded = [name for name in sys.modules if sys.modules[name] is not None]
wrong = ("torch", "anet.nets", "anet.training", "anet.export", "openvino_telemetry")
assert not [name for name in loaded if name in wrong or name.startswith(tuple(one + "." for one in wrong))]
assert not connected, connected
"""


@pytest.mark.parametrize("blocked", [False, True], ids=["torch installed", "torch absent"])
def test_inspection_runs_without_torch_telemetry_or_a_trace_in_the_home_folder(tmp_path, blocked):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "a.png").write_bytes(png())
    command = [sys.executable, "-W", "error", "-c", ALONE.format(blocked=blocked), exported(), tmp_path / "a.png"]
    ran = subprocess.run([*command, tmp_path / "out"], env={**os.environ, "HOME": str(home)}, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    assert not ran.stderr and list(home.iterdir()) == []
    assert (tmp_path / "out" / "results.jsonl").is_file()


def test_defects_are_frozen():
    with pytest.raises(AttributeError):
        Defect(1, "a", 1.0, 1.0, 1, (0, 0, 1, 1), (0.0, 0.0), 1.0, 1.0, 0.0, False).area_px = 2


def test_the_end_of_a_run_says_why_pictures_could_not_be_inspected(tmp_path):
    for number in range(5):
        (tmp_path / "in" / f"{number}.png").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"[bold]{number}.png").write_bytes(b"\x89PNG nothing")
    summary = inspect_paths(Inspector(exported()), [tmp_path / "in"], tmp_path / "out")
    console = Console(file=io.StringIO(), width=80)
    print_summary(summary, console)
    said = console.file.getvalue()
    assert [f"[bold]{number}.png" in said for number in range(5)] == [True] * 3 + [False] * 2
    assert said.count("  error: ") == 3 and said.endswith("  and 2 errors more, each in results.jsonl\n")
