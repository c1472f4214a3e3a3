"""What is chosen and scored "as at the line" is what `anet inspect` decides: large pictures in tiles, at one scale."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from anet import pipeline
from anet.data import load
from anet.data.dataset import Sample, usual_sides
from anet.errors import DataError
from anet.evaluation import evaluate_model
from anet.image import write_png
from anet.models import open_model
from anet.operating import choose_operating
from anet.pipeline import export_run
from anet.runtime.card import AS_TRAINED, CARD, PAGE, read_card
from anet.runtime.cutting import grid_for
from anet.runtime.inspector import Inspector
from anet.runtime.settings import Settings, write_settings
from anet.runtime.verdicts.bundled_rules import add_rules
from anet.scoring.risk import Aim
from anet.training.checkpoint import load_model, save_model
from anet.training.train import train
from tests.test_export import exported
from tests.tiny import make_set, tiny


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A plain folder of noise, pictures of two sizes, with a labelled square in half of them."""
    rng = np.random.default_rng(0)
    for number in range(24):
        side, part = (64, 150)[number % 3 == 0], ("train", "val", "val", "test")[number % 4]
        mask = np.zeros((side, side), np.uint8)
        mask[8:40, 8:40] = 255 * (number // 4 % 2)
        for place, array in (("images", rng.integers(0, 256, (side, side, 3), np.uint8)), ("masks", mask)):
            (tmp_path / "set" / place / part).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "set" / place / part / f"{number}.png", array)
    return tmp_path / "set"


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A bundle of a training on pictures of 64 px."""
    folder = Path(shutil.copytree(exported(), tmp_path / "bundle"))
    (folder / CARD).write_bytes(replace(read_card(folder), picture_px=64).sealed())
    return folder


def verdicts(bundle: Path, folder: Path) -> list[str]:
    inspector = Inspector(bundle, threads=1)
    return [inspector(path).verdict for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("tuned", [None, Settings(scale=1.5), Settings(overlap=0.5)])
def test_a_written_point_counts_and_scores_what_the_inspector_decides(bundle, pictures, tuned):
    if tuned:
        write_settings(bundle, tuned)
    assert any(Inspector(bundle, threads=1)(path).view.tiles > 1 for path in (pictures / "images" / "val").iterdir())
    found = choose_operating(bundle, pictures, Aim(cost_miss=3, cost_false=1), write=True, threads=1)
    point = found.choice.chosen
    flagged = point.escapes.of - point.escapes.count + point.false_rejects.count
    assert verdicts(bundle, pictures / "images" / "val").count("reject") == flagged
    scores = evaluate_model(bundle, pictures, as_set=True, threads=1).scored.scores
    flagged = scores.defect_pictures - scores.escapes + scores.false_defects
    assert verdicts(bundle, pictures / "images" / "test").count("reject") == flagged


def test_as_set_is_by_the_engine_and_the_tiles_that_were_tuned_here_and_says_so(bundle, pictures):
    plain = evaluate_model(bundle, pictures, as_set=True, threads=1).facts["model"]
    assert plain["engine"] == Inspector(bundle, threads=1).engine.name and "tiles" not in plain
    write_settings(bundle, Settings(engine="openvino", precision="f32", scale=1.5))
    for facts in (
        evaluate_model(bundle, pictures, as_set=True, threads=1).facts,
        choose_operating(bundle, pictures, Aim(cost_miss=3, cost_false=1), threads=1).facts,
    ):
        tuned = Inspector(bundle, threads=1).engine
        assert (facts["model"]["engine"], facts["model"]["precision"]) == (tuned.name, tuned.precision)
        assert facts["model"]["tiles"] == {"scale": 1.5}
    assert "tiles" not in evaluate_model(bundle, pictures, threads=1).facts["model"]  # the same on any machine


def test_scores_of_the_line_are_those_of_tiles_and_usual_scores_are_not(bundle, pictures):
    opened = open_model(bundle, threads=1)
    large = np.random.default_rng(1).integers(0, 256, (150, 130, 3), np.uint8)
    inspector = Inspector(bundle, threads=1)
    assert np.array_equal(opened.line(large), inspector(large).probs())
    assert np.array_equal(opened.probs(large), Inspector(bundle, threads=1, tiles=False)(large).probs())
    assert not np.array_equal(opened.line(large), opened.probs(large))
    small = large[:64, :60].copy()
    assert np.array_equal(opened.line(small), opened.probs(small))


def test_rules_of_a_bundle_are_not_looked_at_and_that_is_said(bundle, pictures, tmp_path, capsys):
    from anet.evaluation import print_scores

    (tmp_path / "rules.toml").write_text('[[rules]]\nname = "large"\naction = "reject"\nmax_area_px = 1000000\n')
    add_rules(bundle, tmp_path / "rules.toml")
    print_scores(evaluate_model(bundle, pictures, as_set=True, threads=1), Console(width=300))
    assert (
        "as the model decides at the line, but for the bundle's rules, which are not looked at."
        in capsys.readouterr().out
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    made = train(tiny(make_set(folder / "data"), folder / "runs", epochs=1), Console(quiet=True))
    assert made is not None
    return made


def test_a_run_is_judged_in_tiles_as_its_bundle_will_be(run, tmp_path):
    bundle, card = export_run(run, tmp_path / "bundle")
    opened, inspector = open_model(run), Inspector(bundle, threads=1)
    large = np.random.default_rng(2).integers(0, 256, (3 * card.picture_px, 2 * card.picture_px, 3), np.uint8)
    report = inspector(large)
    assert report.view.tiles > 1
    np.testing.assert_allclose(opened.line(large), report.probs(), atol=1e-4)
    assert np.abs(opened.probs(large) - report.probs()).max() > 1e-3


def test_another_export_keeps_the_scale_whatever_proves_it_and_in_whichever_formats(run, pictures, tmp_path):
    card = export_run(run, tmp_path / "own", ("whole",))[1]
    assert card.picture_px == open_picture_px(run)
    for name, source in (("from-run", run), ("from-bundle", tmp_path / "own")):
        other = export_run(source, tmp_path / name, ("openvino", "onnx"), data=pictures)[1]
        assert (other.picture_px, other.large_px, other.train_px) == (card.picture_px, card.large_px, card.train_px)


def test_labels_of_other_classes_prove_no_export(run, tmp_path):
    data = make_set(tmp_path / "other")
    (data / "classes.txt").write_text("background\ndent\npore\n")
    with pytest.raises(DataError, match="is labelled with dent, pore: they do not fit"):
        export_run(run, tmp_path / "bundle", data=data)
    assert not (tmp_path / "bundle").exists()


def test_pictures_of_many_sizes_are_looked_at_as_they_were_learnt(tmp_path):
    data = make_set(tmp_path / "data")
    for path in (data / place / "train" / f"{number}.png" for place in ("images", "masks") for number in (0, 4)):
        with Image.open(path) as image:  # two of eight are twice as large
            twice = image.resize((128, 128), Image.Resampling.NEAREST)
        twice.save(path)
    run = train(tiny(data, tmp_path / "runs", epochs=1), Console(quiet=True))
    card = export_run(run, tmp_path / "bundle")[1]
    assert (card.picture_px, card.large_px) == (64, 128)
    network, facts = load_model(run)
    save_model(run / "best.safetensors", network.state_dict(), replace(facts, large_px=0))  # a run of before
    assert export_run(run, tmp_path / "again")[1].large_px == 128
    sized = export_run(run, tmp_path / "any", size="dynamic")[1]
    assert AS_TRAINED in sized.parity
    fallen = replace(sized, parity={**sized.parity, AS_TRAINED: {"iou": 0.5}, "torch": {"iou": 0.25}})
    assert pipeline._falls(fallen) == "IoU falls from 50.00 at 32x32, as trained, to 25.00 at any size"
    lowest, highest = card.mean_grey or (0, 0)
    assert 20 < lowest <= highest < 200
    assert grid_for(card, 128, 128) is None and grid_for(card, 256, 256) is not None
    told = (tmp_path / "bundle" / PAGE).read_text()
    assert "median picture 64 px, 95 % up to 128 px" in told and "mean grey of the training pictures" in told


def open_picture_px(run: Path) -> int:
    from anet.training.checkpoint import load_model

    return load_model(run)[1].picture_px


@pytest.mark.parametrize(("names", "fits"), [
    (("pore", "scratch"), "in another order"), (("scratch", "crack"), "do not fit"), (("scratch",), "do not fit"),
    (("scratch", "pore"), None),
])  # fmt: skip
def test_classes_must_be_the_model_s_own_and_in_its_order(tmp_path, names, fits):
    data = tmp_path / "set"
    for place in ("images", "masks"):
        (data / place).mkdir(parents=True)
        write_png(data / place / "a.png", np.ones((32, 32), np.uint8))
    (data / "classes.txt").write_text("\n".join(("background", *names)))
    names_of_model = ("background", "scratch", "pore")
    if fits is None:
        load(data).check_fit(names_of_model, Path("model"))
        return
    with pytest.raises(DataError, match=fits):
        load(data).check_fit(names_of_model, Path("model"))


def test_one_class_of_defect_fits_any_other(tmp_path):
    data = make_set(tmp_path / "set")
    load(data).check_fit(("background", "rust"), Path("m"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=50))
def test_at_most_a_twentieth_of_the_pictures_is_larger_than_the_large_side(sides):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anet.data.dataset.image_size", lambda size: size)
        middle, large = usual_sides([Sample("", size, None) for size in sides])  # type: ignore[arg-type]
    longer = [max(size) for size in sides]
    assert sum(side > large for side in longer) <= len(longer) / 20
    assert (middle in longer and large in longer and middle <= large) if sides else (middle, large) == (0, 0)
