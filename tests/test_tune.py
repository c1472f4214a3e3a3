"""`anet tune` on a bundle of one layer, 32 x 32: what it tries, what it takes, what it leaves alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anet.bench import tune as module
from anet.bench.rounds import Spread
from anet.bench.tune import Tried, Tuned, none_meets, print_tuned, tune
from anet.errors import AnetError, DataError, OptionError
from anet.export.deployable import export_bundle
from anet.image import write_png
from anet.models import open_model
from anet.provenance import machine
from anet.runtime.card import read_card
from anet.runtime.engine import Engine
from anet.runtime.inspector import Inspector
from anet.runtime.settings import FILE, Settings, settings_for, write_settings
from anet.runtime.tiling import Tiles
from tests.test_export import Tiny, facts, frames
from tests.test_runtime import reseal

SIDE = 32
SPREAD = Spread(1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Export one layer once, trained at half of the size of its pictures."""
    card = facts(h=SIDE, w=SIDE, train_px=SIDE, picture_px=2 * SIDE)
    return export_bundle(Tiny(), card, tmp_path_factory.mktemp("made") / "b", frames(1, SIDE), ("openvino", "onnx"))


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory) -> Path:
    card = facts(h=0, w=0, train_px=SIDE, picture_px=2 * SIDE)
    return export_bundle(Tiny(), card, tmp_path_factory.mktemp("dynamic") / "b", frames(1, SIDE))


@pytest.fixture
def bundle(made, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(module, "ROUNDS", 1)
    monkeypatch.setattr(module, "TURN_MS", 1.0)
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def pictures(folder: Path, side: int, count: int = 4) -> Path:
    """Make a data set with a bright square on each picture."""
    for number in range(count):
        part = ("train", "train", "val", "test")[number % 4]
        mask = np.zeros((side, side), np.uint8)
        mask[side // 4 : side // 2, number : side // 2] = 1
        for place, array in (("images", 40 + 150 * mask), ("masks", mask)):
            (folder / place / part).mkdir(parents=True, exist_ok=True)
            write_png(folder / place / part / f"{number}.png", array.astype(np.uint8))
    return folder


def times(monkeypatch, table: dict[str, tuple[float, float]]) -> None:
    """Make ms and IoU up: by precision."""
    tried = [
        Tried(Settings("openvino", one, 1, 1), Spread(took, took, took), iou) for one, (took, iou) in table.items()
    ]
    monkeypatch.setattr(module, "_timed", lambda *_: tried)


def names(tuned: Tuned) -> set[tuple]:
    return {
        (one.settings.engine, one.settings.precision, one.settings.threads, one.settings.streams) for one in tuned.tried
    }


def test_every_engine_that_runs_is_tried_and_what_is_chosen_is_what_inspects(bundle):
    tuned = tune(bundle, 60_000)
    cores = machine()["cores"]
    wanted = {(1, 1), (max(1, cores // 2), 1), (max(1, cores // 2),) * 2, (cores, 1), (cores, cores)}
    assert names(tuned) == {(engine, "f32", *one) for engine in ("openvino", "onnxruntime") for one in wanted}
    assert tuned.chosen.ms.median == min(one.ms.median for one in tuned.tried)
    assert replace(settings_for(bundle), measured={}) == tuned.chosen.settings
    inspector = Inspector(bundle)
    assert inspector.engine.name == tuned.chosen.settings.engine and inspector.settings == settings_for(bundle)
    assert any("--data" in one for one in tuned.left_out)


def test_a_budget_that_nothing_meets_writes_nothing_and_says_the_best(bundle):
    tuned = tune(bundle, 1e-6, threads=1)
    assert tuned.chosen is None and not (bundle / FILE).exists()
    assert "the best found is o" in none_meets(tuned) and "\n" not in none_meets(tuned)


@pytest.mark.parametrize(("budget", "wanted"), [(20, "f32"), (10, "f32"), (9, "int8"), (3, "int4"), (1, None)])
def test_the_best_iou_within_the_budget_wins(bundle, monkeypatch, budget, wanted):
    times(monkeypatch, {"f32": (10.0, 0.70), "int8": (5.0, 0.69), "int4": (2.0, 0.5)})
    chosen = tune(bundle, budget).chosen
    assert (chosen and chosen.settings.precision) == wanted == settings_for(bundle).precision


def test_of_two_that_answer_alike_the_faster_wins(bundle, monkeypatch):
    times(monkeypatch, {"f32": (10.0, 0.70), "f16": (5.0, 0.70)})
    assert tune(bundle, 20).chosen.settings.precision == "f16"


def test_only_the_recommended_precision_is_tried_where_no_iou_is_known(bundle):
    card = read_card(bundle)
    shutil.copy(bundle / "model.xml", bundle / "model-f16.xml")
    shutil.copy(bundle / "model.bin", bundle / "model-f16.bin")
    same = {f"model-f16.{end}": card.files[f"model.{end}"] for end in ("xml", "bin")}
    reseal(bundle, files={**card.files, **same})
    tuned = tune(bundle, 60_000, threads=1)
    assert {one.settings.precision for one in tuned.tried} == {"f32"}
    assert any("precisions but f32" in one for one in tuned.left_out)
    known = {"iou": 0.5}
    reseal(bundle, parity={"openvino f32": known, "openvino f16": {"iou": 0.6}, "onnxruntime f32": known})
    tuned = tune(bundle, 60_000, threads=1)
    assert {(one.settings.precision, one.iou) for one in tuned.tried} == {("f32", 0.5), ("f16", 0.6)}
    assert tuned.chosen.settings.precision == "f16"
    reseal(bundle, provenance={"threshold": {"by": "anet threshold"}})  # the export's IoU are no longer true
    assert {one.iou for one in tune(bundle, 60_000, threads=1).tried} == {None}


def test_each_engine_has_an_int8_of_its_own(bundle):
    reseal(bundle, parity={"openvino int8": {"iou": 0.5}, "native int8": {"iou": 0.6}, "openvino f32": {"iou": 0.7}})
    kinds = [("openvino", "f32"), ("openvino", "int8"), ("native", "f32"), ("native", "int8")]
    ways = [Settings(engine, precision, 1, 1) for engine, precision in kinds]
    shown = module._Shown(np.zeros((SIDE, SIDE, 3), np.uint8), (), ((None, None),), "")
    found = module._ious(bundle, read_card(bundle), ways, shown, print)
    assert [found[module._answers(way), None, None] for way in ways] == [0.7, 0.5, 0.7, 0.6]


def test_pictures_that_are_cut_have_their_scale_and_overlap_tried_and_what_wins_cuts(bundle, tmp_path, monkeypatch):
    data = pictures(tmp_path / "data", 5 * SIDE)
    tuned = tune(bundle, 60_000, 1, data)
    looks = {(one.settings.scale, one.settings.overlap) for one in tuned.tried}
    assert looks == {(scale, over) for scale in (None, 0.25, 0.375, 0.625) for over in (None, 0.125)}
    assert all(one.iou is not None for one in tuned.tried) and not tuned.left_out
    monkeypatch.setattr(module, "_best", lambda tried, _: next(one for one in tried if one.settings.scale == 0.25))
    tune(bundle, 60_000, 1, data)
    image = np.full((5 * SIDE, 5 * SIDE, 3), 40, np.uint8)
    view, trained = Inspector(bundle)(image).view, Inspector(bundle, settings=Settings())(image).view
    assert (view.scale, trained.scale) == (0.25, 0.5) and 1 < view.tiles < trained.tiles
    assert Inspector(bundle, tiles=Tiles(1.0))(image).view.scale == 1  # what is asked for wins


def test_a_dynamic_input_has_its_scale_tried_and_settings_choose_it(bundle, dynamic, tmp_path):
    copied = Path(shutil.copytree(dynamic, tmp_path / "dynamic"))
    tuned = tune(copied, 60_000, 1, pictures(tmp_path / "data", 4 * SIDE))
    assert {(one.settings.scale, one.settings.overlap) for one in tuned.tried} == {
        (scale, None) for scale in (None, 0.25, 0.375, 0.625)
    }
    write_settings(copied, Settings(scale=0.25))
    image = np.zeros((4 * SIDE, 4 * SIDE, 3), np.uint8)
    assert (Inspector(copied)(image).view.scale, Inspector(dynamic)(image).view.scale) == (0.25, 0.5)


def test_data_without_a_large_picture_says_that_tiles_were_not_tried(bundle, tmp_path):
    tuned = tune(bundle, 60_000, 1, pictures(tmp_path / "data", SIDE))
    assert any("no validation picture" in one for one in tuned.left_out)
    assert {one.settings.scale for one in tuned.tried} == {None}


@pytest.mark.parametrize(
    ("options", "said"),
    [({"budget_ms": 0}, "budget"), ({"budget_ms": float("nan")}, "budget"), ({"threads": 9999}, "cores")],
)
def test_what_makes_no_sense_is_one_clear_line(bundle, options, said):
    with pytest.raises(OptionError, match=said):
        tune(bundle, **{"budget_ms": 5, **options})


def test_data_that_is_missing_or_of_other_classes_is_an_error_and_nothing_is_written(bundle, tmp_path):
    with pytest.raises(DataError):
        tune(bundle, 100, data=tmp_path / "nothere")
    data = pictures(tmp_path / "data", SIDE)
    (data / "classes.txt").write_text("background\na\nb\nc")
    with pytest.raises(AnetError, match="they do not fit"):
        tune(bundle, 100, data=data)
    assert not (bundle / FILE).exists()


def test_ctrl_c_leaves_the_bundle_as_it_was(bundle, monkeypatch):
    write_settings(bundle, Settings("openvino", "f32", 1, 1))
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "interleaved", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(bundle, 60_000, threads=1)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


def test_what_was_tuned_changes_no_score_and_what_is_asked_for_wins(bundle):
    frame = frames(1, SIDE)[0]
    write_settings(bundle, Settings("onnxruntime", "f32", 1, 1))
    assert Engine(bundle).name == Inspector(bundle)(frame).engine == "onnxruntime"
    assert Engine(bundle, engine="openvino").name == Engine(bundle, settings=Settings()).name == "openvino"
    scored = open_model(bundle).probs(frame)
    write_settings(bundle, Settings(scale=0.1))
    assert np.array_equal(open_model(bundle).probs(frame), scored)
    found = json.loads(json.dumps(Inspector(bundle)(frame).to_dict()))
    assert (found["engine"], found["precision"]) == ("openvino", "f32")


@pytest.mark.parametrize("engine", ["native", "another"])
def test_settings_for_an_engine_that_is_not_there_are_passed_over_with_a_note(bundle, engine):
    write_settings(bundle, Settings(engine, "f64", 1, 1))
    one = Engine(bundle)
    assert (one.name, one.precision) == ("openvino", "f32") and "openvino is used" in one.note and "\n" not in one.note


def test_the_table_says_what_was_chosen_and_what_was_too_slow(capsys):
    from rich.console import Console

    slow, fast = (
        Tried(Settings("native", "f32", 2, 1, 0.5, 0.25), Spread(9, 8, 99), None),
        Tried(Settings("x"), SPREAD, 0.7),
    )
    print_tuned(Tuned(5, (fast, slow), fast), Console(width=200))
    said = capsys.readouterr().out
    assert "chosen" in said and "too slow" in said and "70.00" in said and "overlap" in said and "native" in said


def test_the_line_about_the_best_found_holds_a_budget_that_works():
    tried = Tried(Settings("native", "f32", 2, 1), Spread(10.0, 9.0, 12.0), None)
    assert "95 % within 12.00 ms; --budget-ms 13.2" in none_meets(Tuned(5, (tried,), None))
