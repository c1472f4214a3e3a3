"""Models that ship: a name stands for a path, and a packed model says what it is and starts a training."""

import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from anet import cli, pack, shipped
from anet.errors import ModelError, OptionError, OutputError
from anet.export.deployable import export_bundle
from anet.export.weights import weights_of
from anet.files import sha256
from anet.models import open_model, open_start
from anet.operating import write_point
from anet.runtime.card import CARD, PAGE, check_bundle, read_card
from anet.runtime.inspector import Inspector
from anet.scoring.regions import THRESHOLDS, Survey
from anet.scoring.risk import Aim, point_at
from anet.training.checkpoint import load_model
from anet.training.train import train
from tests.layouts import save
from tests.test_engines import bundle_of
from tests.test_export import facts, frames
from tests.tiny import make_set, tiny

RULES = '[[rules]]\nname = "one"\naction = "reject"\nclasses = ["kind1"]\nmax_count = 0\n'
ABOUT = {"about": "Bright squares.", "not_for": "round things", "licence": "ours"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(tiny(make_set(folder / "data"), folder, epochs=1), Console(file=StringIO()))


@pytest.fixture(scope="module")
def packed(run, tmp_path_factory):
    """A folder of models that holds anet-surface, as `anet pack` makes it."""
    folder = tmp_path_factory.mktemp("shipped")
    pack.MAX_DROP, before = 100.0, pack.MAX_DROP  # one epoch learns nothing whose loss could be measured
    pack.pack(run, "anet-surface", **ABOUT, out=folder)
    pack.MAX_DROP = before
    return folder


@pytest.fixture
def home(packed, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", packed)
    return packed


def said(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(words))
    return done.exit_code, done.output


def test_a_packed_model_is_whole_small_scored_and_says_what_it_is_not_for(packed):
    folder = packed / "anet-surface"
    card = check_bundle(folder)
    told = card.provenance["shipped"]
    assert {key: told[key] for key in ABOUT} == ABOUT
    assert told["parameters"] == 389_768
    assert pack.packed_size(folder) < shipped.MOST_BYTES and abs(pack.packed_size(folder) - told["bytes"]) < 5000
    assert told["scores"]["data"]["pictures"] == 4
    page = (folder / PAGE).read_text()
    assert page.startswith("# anet-surface") and "Not for: round things" in page and "Licence: ours" in page
    assert sorted(path.name for path in packed.iterdir()) == ["anet-surface"]


def test_every_weight_comes_back_from_the_bundle_rounded_to_half_precision(run, packed):
    network, _ = load_model(run)
    found, card = weights_of(packed / "anet-surface")
    own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert found.keys() == own.keys() and card.network == "anet"
    for key, value in own.items():
        assert torch.allclose(found[key], value, rtol=6e-4, atol=1e-7), key


def test_the_packed_file_answers_as_torch_does(run, packed):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    one, other = (open_model(path).probs(image) for path in (run, packed / "anet-surface"))
    assert np.abs(one - other).max() < 5e-3


def test_a_folded_bundle_says_that_it_holds_nothing_to_start_from(tmp_path):
    with pytest.raises(ModelError, match="formats whole"):
        open_start(bundle_of())
    plain = export_bundle(nn.Conv2d(3, 1, 1), facts(), tmp_path / "f32", frames(1), ("openvino",))
    with pytest.raises(ModelError, match="no weights to start from"):
        open_start(plain)
    with pytest.raises(OptionError, match="same weights"):
        export_bundle(nn.Conv2d(3, 1, 1), facts(), tmp_path / "x", frames(1), ("f16", "whole"))


def test_a_model_larger_than_what_ships_is_not_packed_and_nothing_is_left(run, packed, tmp_path, monkeypatch):
    def exported(run, out, formats, data):
        shutil.copytree(packed / "anet-surface", out)
        return out, read_card(out)

    monkeypatch.setattr(pack, "export_run", exported)
    monkeypatch.setattr(pack, "MAX_DROP", 100.0)
    monkeypatch.setattr(pack, "MOST_BYTES", 1000)
    with pytest.raises(ModelError, match="1000 at most"):
        pack.pack(run, "anet-surface", **ABOUT, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("before", "after"), [(None, None), (0.7, 0.69), (0.7, None)])
def test_weights_that_half_precision_spoilt_are_not_packed(packed, before, after):
    card = read_card(packed / "anet-surface")
    good = {**card.parity, "torch": {"iou": 0.7}, "openvino f16": {"iou": 0.699}}
    pack.check_drop(replace(card, parity=good))
    bad = {**good, "torch": {"iou": before}, "openvino f16": {"iou": after}}
    with pytest.raises(ModelError, match="half precision"):
        pack.check_drop(replace(card, parity=bad))


@pytest.mark.parametrize(("changed", "match"), [({"about": " "}, "--about is empty"), ({"name": "../x"}, "no name")])
def test_a_model_without_a_name_or_a_word_about_it_is_not_packed(run, tmp_path, changed, match):
    with pytest.raises(OptionError, match=match):
        pack.pack(run, **{"name": "anet-x", **ABOUT, "out": tmp_path, **changed})


def test_what_ships_is_exported_to_other_formats_as_any_model_is(home, run, tmp_path):
    from anet.pipeline import export_run

    data = run.parent / "data"
    out, card = export_run("anet-surface", tmp_path / "out", ("openvino",), data=data)
    assert card.precision == "f32" and card.threshold == read_card(home / "anet-surface").threshold
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    one, other = (open_model(path).probs(image) for path in (out, home / "anet-surface"))
    assert np.abs(one - other).max() < 1e-4
    told = (out / PAGE).read_text()
    assert "Not for: round things" in told and "Licence: ours" in told and "held-out pictures, by" not in told
    with pytest.raises(OptionError, match="stays as it is"):
        export_run("anet-surface", None, ("openvino",), data=data)


def test_another_threshold_leaves_what_a_model_must_tell_and_says_at_which_it_was_scored(packed, tmp_path):
    copied = Path(shutil.copytree(packed / "anet-surface", tmp_path / "mine"))
    was = read_card(copied)
    none = np.zeros((0, len(THRESHOLDS)), np.int64)
    for threshold, area in ((0.25, 12), (0.75, 3)):
        point = point_at(Survey(THRESHOLDS, none, none, none), threshold, area, Aim(max_escape=0.5))
        write_point(copied, point, {"by": "anet threshold"}, sha256((copied / CARD).read_bytes()))
    told = (copied / PAGE).read_text()
    assert "Not for: round things" in told and "Licence: ours" in told and "above 0.75, regions from 3 px" in told
    at = f" as it was, deciding above {was.threshold:.4g} and regions from {was.min_area_px} px"
    assert f"On held-out pictures, by this very file{at}, one seed:" in told and f"validation pictures{at}" in told
    assert check_bundle(copied).provenance["shipped"] == was.provenance["shipped"]


# names


def test_a_name_is_a_path_where_no_such_path_exists(home, tmp_path, monkeypatch):
    assert shipped.find("anet-surface") == home / "anet-surface"
    assert shipped.find(tmp_path) == tmp_path and shipped.find("runs/x") == Path("runs/x")
    assert shipped.find("mine") == Path("mine")
    for wrong in ("anet-surfase", "surface-anet-surface", "anet-x"):
        with pytest.raises(ModelError, match="anet-surface"):
            shipped.find(wrong)
    monkeypatch.chdir(tmp_path)
    Path("anet-surface").mkdir()
    assert shipped.find("anet-surface") == Path("anet-surface")


def test_without_a_model_the_general_one_looks_and_says_so(home, tmp_path, monkeypatch):
    picture = save(tmp_path / "pictures" / "a.png", np.zeros((64, 64), np.uint8))
    for given in ([picture], [picture.parent], [picture, picture.parent]):
        model, pictures, line = shipped.model_and_pictures(given)
        assert model == home / "anet-surface" and pictures == given and "anet-surface" in line
    assert shipped.model_and_pictures([Path("anet-surface"), picture])[::2] == (home / "anet-surface", "")
    bundle = home / "anet-surface"
    assert shipped.model_and_pictures([bundle, picture]) == (bundle, [picture], "")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "below").symlink_to(picture.parent)
    assert shipped.model_and_pictures([tmp_path / "linked"])[0] == bundle
    (tmp_path / "empty" / "folder.png").mkdir(parents=True)
    assert shipped.model_and_pictures([tmp_path / "empty", picture])[0] == tmp_path / "empty"  # whoever opens it says
    assert shipped.model_and_pictures([bundle])[1] == []
    code, text = said("inspect", "anet-surface")
    assert code == 2 and "Usage: " in text and "name pictures" in text
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ModelError, match="does not ship with this anet"):
        shipped.model_and_pictures([picture])


def test_the_command_line_takes_names(home, tmp_path, run):
    picture = save(tmp_path / "a.png", np.zeros((64, 64), np.uint8))
    code, text = said("inspect", str(picture), "--out", str(tmp_path / "out"))
    assert code in (0, 1) and "no model was named: anet-surface" in text
    line = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert line["model"] == read_card(home / "anet-surface").id
    code, text = said("eval", "anet-surface", str(run.parent / "data"))
    assert code == 0 and "IoU" in text
    (tmp_path / "rules.toml").write_text(RULES)
    code, text = said("rules", "check", str(tmp_path / "rules.toml"), "--bundle", "anet-surface")
    assert code == 0, text
    code, text = said("bench", "anet-surface", "--rounds", "1", "--no-whole", "--no-plain")
    assert code == 0 and "anet-surface" in text
    code, text = said("eval", "anet-surfaec", str(run.parent / "data"))
    assert code == 2 and "did you mean anet-surface?" in text


def test_models_are_listed_shown_and_copied(home, tmp_path):
    code, text = said("models")
    assert code == 0
    for word in ("anet-surface: Bright squares.", "389,768", "held-out", "not for: round things", "licence: ours"):
        assert word in text
    (row,) = json.loads(said("models", "--json")[1])
    assert row["name"] == "anet-surface" and row["classes"] == ["kind1"] and row["size"] == [32, 32]
    assert said("models", "anet-surface")[1].startswith("# anet-surface")
    assert said("models", "anet-surface", "--out", str(tmp_path / "copy"))[0] == 0
    check_bundle(tmp_path / "copy")
    assert Inspector(tmp_path / "copy").engine.precision == "f16"
    (tmp_path / "rules.toml").write_text(RULES)
    assert said("rules", "add", str(tmp_path / "copy"), str(tmp_path / "rules.toml"))[0] == 0
    assert Inspector(tmp_path / "copy").rules is not None
    with pytest.raises(OutputError, match="exists already"):
        shipped.copy("anet-surface", tmp_path / "copy")
    assert said("models", "--out", str(tmp_path / "x"))[0] == 2
    code, text = said("models", "anet-surfaec")
    assert code == 2 and "did you mean anet-surface?" in text


def test_no_model_at_all_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert "no model ships" in said("models")[1] and said("models", "--json")[1].strip() == "[]"


def test_what_ships_is_never_written_to(home, run):
    before = (home / "anet-surface" / CARD).read_bytes()
    code, text = said("threshold", "anet-surface", str(run.parent / "data"), "--cost-miss", "1", "--cost-false", "1",
                      "--write")  # fmt: skip
    assert code == 2 and "stays as it is" in text and (home / "anet-surface" / CARD).read_bytes() == before
    rules = run.parent / "rules.toml"
    rules.write_text(RULES)
    for line in (["tune", "anet-surface", "--budget-ms", "5"], ["rules", "add", "anet-surface", str(rules)]):
        there = sorted(path.name for path in (home / "anet-surface").iterdir())
        code, text = said(*line)
        assert code == 2 and "stays as it is" in text
        assert sorted(path.name for path in (home / "anet-surface").iterdir()) == there


def test_a_model_is_packed_straight_into_what_ships_and_takes_the_place_of_an_older_one(run, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    monkeypatch.setattr(pack, "MAX_DROP", 100.0)
    for about in ("Squares.", "Bright squares."):
        pack.pack(run, "anet-surface", **ABOUT | {"about": about}, out=tmp_path)
        assert shipped.names() == ["anet-surface"] and shipped.shipped("anet-surface").told["about"] == about
        assert [path.name for path in tmp_path.iterdir()] == ["anet-surface"]


def test_a_folder_that_is_no_bundle_is_not_replaced_by_a_packed_one(run, tmp_path):
    (tmp_path / "anet-parts" / "photos").mkdir(parents=True)
    (tmp_path / "anet-parts" / "photos" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists and is no model bundle: it is not replaced"):
        pack.pack(run, "anet-parts", **ABOUT, out=tmp_path)
    assert (tmp_path / "anet-parts" / "photos" / "notes.txt").read_text() == "mine"


def test_a_changed_bit_in_what_ships_is_noticed(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    (tmp_path / "anet-surface").mkdir()
    for path in (packed / "anet-surface").iterdir():
        content = bytearray(path.read_bytes())
        content[100] ^= path.name == PAGE
        (tmp_path / "anet-surface" / path.name).write_bytes(bytes(content))
    code, text = said("models", "anet-surface")
    assert code == 2 and "damaged" in text


def test_what_ships_here_is_whole_and_small():
    for one in map(shipped.shipped, shipped.names()):
        check_bundle(one.path)
        assert pack.packed_size(one.path) <= shipped.MOST_BYTES
        assert all(one.told[key] for key in ("about", "not_for", "licence", "parameters", "scores"))
        weights_of(one.path)
