"""What a model was trained on is known by the pictures themselves, also after the data set was parted anew."""

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from anet import pack
from anet.auditing import own_parts
from anet.data import load, split
from anet.errors import DataError, ModelError
from anet.evaluation import evaluate_model, prepare, print_scores
from anet.models import open_model, open_start
from anet.nets import build
from anet.operating import choose_operating
from anet.pipeline import export_run
from anet.scoring.risk import Aim
from anet.seen import MOST, all_seen, carried, known_seen, seen_of, trained_on
from anet.training.checkpoint import Facts, load_model, save_model
from anet.training.run import read_plan, write_plan
from anet.training.train import resume, train
from tests import layouts
from tests.test_cli import anet
from tests.tiny import make_set, tiny

AIM = Aim(max_escape=0.9)


def model(path, dataset, parts, init=None, **more):
    """Write a model that says that it was trained on `parts`, and knows nothing."""
    torch.manual_seed(0)
    about = {"protocol": parts.protocol, "seed": parts.seed, "seen": seen_of(parts), **more}
    provenance = {"data": {"digest": dataset.digest()}, "split": about, "seed": 0} | ({"init": init} if init else {})
    facts = Facts("anet", dataset.class_names, 32, (0.5,) * 3, (0.2,) * 3, provenance=provenance)
    save_model(path, build("anet", dataset.channels).state_dict(), facts)
    return path


def said(result):
    console = Console(file=io.StringIO(), width=200)
    print_scores(result, console)
    return console.file.getvalue()


@pytest.fixture
def trained(tmp_path):
    """A model of a plain folder that is parted by chance, and the folder."""
    root = layouts.folder(tmp_path / "set", 24)
    dataset = load(root)
    return model(tmp_path / "model.safetensors", dataset, split(dataset, "paper")), root


def grow(root):
    """Add one picture: all are parted anew."""
    image, mask = layouts.picture(999)
    for side, pixels in (("images", image), ("masks", mask)):
        layouts.save(root / side / "aa.png", pixels)


def test_a_model_is_held_to_its_own_split_without_a_word(trained, tmp_path):
    path, root = trained
    result = evaluate_model(path, root, out=tmp_path / "out.json")
    assert not result.facts["trained_on_another_split_of_this_data"]
    assert result.facts["pictures_trained_on"] == {"train": 0, "val": 0, "test": 0}
    assert "trained on" not in said(result) and '"seen"' not in (tmp_path / "out.json").read_text()
    assert choose_operating(path, root, AIM).choice.rows


def test_another_split_seed_is_another_split_of_the_models_own_protocol(trained, tmp_path):
    path, root = trained
    asked = evaluate_model(path, root, split_seed=1)
    assert (asked.facts["split"]["protocol"], asked.facts["split"]["seed"]) == ("paper", 1)
    assert asked.facts["pictures_trained_on"]["test"] and "pictures scored were trained on" in said(asked)
    with pytest.raises(DataError, match="--protocol paper --split-seed 0 is its own"):
        choose_operating(path, root, AIM, split_seed=1)
    assert anet("eval", path, root, "--split-seed", 1, "--out", tmp_path / "out.json").code == 0
    assert json.loads((tmp_path / "out.json").read_text())["split"]["seed"] == 1
    assert anet("threshold", path, root, "--split-seed", 1, "--max-escape", 0.9).code == 2
    dataset = load(root)
    later = model(tmp_path / "later.safetensors", dataset, split(dataset, "paper", 2))
    assert evaluate_model(later, root).facts["split"]["seed"] == 2
    assert evaluate_model(later, root, split_seed=0).facts["split"]["seed"] == 0


def test_one_picture_more_does_not_make_trained_pictures_held_out_ones(trained):
    path, root = trained
    before = split(load(root), "paper")
    grow(root)
    after = split(load(root), "paper")
    mine = {sample.name for sample in (*before.train, *before.val)}
    known = sum(sample.name in mine for sample in after.test)
    chose = sum(sample.name in {one.name for one in before.train} for sample in after.val)
    assert known and chose
    result = evaluate_model(path, root, protocol="paper")
    assert result.facts["trained_on_another_split_of_this_data"]
    lines = said(result)
    assert (
        f"{known} of {len(after.test)} pictures scored were trained on, and {chose} of {len(after.val)} that" in lines
    )
    with pytest.raises(DataError, match=f"saw {chose} of the {len(after.val)} that would be counted: --protocol paper"):
        choose_operating(path, root, AIM, protocol="paper")
    parts = own_parts(open_model(path), load(root))
    assert {name for name, part in parts.items() if part != "test"} == mine


@pytest.mark.parametrize(("split_seed", "same"), [(0, True), (1, False)])
def test_sound_pictures_that_come_in_do_not_make_trained_pictures_held_out_ones(tmp_path, split_seed, same):
    """In the split of the training they leave the others where they are; in another one it is said what was seen."""
    root = layouts.ksdd(tmp_path / "ksdd", parts=12)
    dataset = load(root)
    path = model(tmp_path / "model.safetensors", dataset, split(dataset, "paper"))
    result = evaluate_model(path, root, free=True, protocol="paper", split_seed=split_seed)
    counts, of = result.facts["pictures_trained_on"], result.facts["split"]
    assert counts["train"] and of["test"] > 2, "both kinds are there"
    assert result.facts["trained_on_another_split_of_this_data"] is not same
    if same:
        assert not counts["val"] and not counts["test"]
        return
    assert counts["val"]
    told = f"{counts['test']} of {of['test']} pictures scored were trained on, and {counts['val']} of {of['val']} that"
    assert told in said(result)
    with pytest.raises(DataError, match=f"saw {counts['val']} of the {of['val']} that would be counted"):
        choose_operating(path, root, AIM, free=True, protocol="paper", split_seed=split_seed)


def test_other_pictures_are_seen_by_nobody_and_copies_elsewhere_are(trained, tmp_path):
    path, root = trained
    other = layouts.folder(tmp_path / "other", 8)
    for number, image in enumerate(sorted((other / "images").iterdir())):
        layouts.save(image, layouts.picture(500 + number)[0])
    assert not evaluate_model(path, other, protocol="paper").facts["trained_on_another_split_of_this_data"]
    assert own_parts(open_model(path), load(other)) == {}
    moved = root.rename(tmp_path / "elsewhere")
    assert evaluate_model(path, moved, protocol="paper", split_seed=1).facts["trained_on_another_split_of_this_data"]


def test_a_picture_that_the_models_own_parts_hold_twice_is_no_other_split(trained):
    root = trained[1]
    parts = split(load(root), "paper")
    parts.test[0].image.write_bytes(parts.train[0].image.read_bytes())
    assert trained_on([seen_of(parts)], parts) == {"train": 0, "val": 0, "test": 0}
    assert trained_on([seen_of(replace(parts, val=parts.val[1:]))], parts)["test"] == 1


def test_a_model_of_before_is_still_known_by_its_split(trained, tmp_path):
    root = trained[1]
    dataset = load(root)
    path = model(tmp_path / "old.safetensors", dataset, split(dataset, "paper"), seen=None)
    assert "pictures_trained_on" not in evaluate_model(path, root).facts
    result = evaluate_model(path, root, protocol="paper", split_seed=3)
    assert "another split of these pictures" in said(result) and "pictures_trained_on" not in result.facts
    assert known_seen({"split": {"seen": {"train": 3, "val": []}}}) is None


def test_a_run_keeps_what_it_saw_goes_on_with_nothing_else_and_its_bundle_knows_it(tmp_path):
    quiet = Console(file=io.StringIO())
    folder = train(tiny(make_set(tmp_path / "set"), tmp_path, epochs=1), quiet)
    plan, content = read_plan(folder)
    seen = known_seen(content["provenance"])
    assert [len(seen[part]) for part in ("train", "val")] == [8, 2] and seen == seen_of(split(load(tmp_path / "set")))
    bundle, card = export_run(folder)
    assert known_seen(card.provenance) == seen
    assert seen["train"][0] not in "".join(path.read_text("latin-1") for path in bundle.glob("*.md"))
    content["provenance"]["split"]["seen"]["val"][0] = "0" * 16
    write_plan(folder, plan, {"provenance": content["provenance"]})
    with pytest.raises(ModelError, match="run began with other pictures in train and val than this anet draws"):
        resume(folder, quiet)


def test_what_a_start_had_seen_counts_for_the_model_that_began_there(trained, tmp_path):
    start, root = trained
    dataset = load(root)
    before, parts = split(dataset, "paper"), split(dataset, "paper", 3)
    facts = open_start(start).facts(dataset.class_names)
    assert facts["seen"] == [seen_of(before)]
    later = model(tmp_path / "later.safetensors", dataset, parts, init=facts)
    about = load_model(later)[1]
    assert about.provenance["init"] == facts and all_seen(about.provenance) == [seen_of(parts), seen_of(before)]
    result = evaluate_model(later, root, out=tmp_path / "out.json")
    mine = {sample.name for sample in (*before.train, *before.val)}
    known = sum(sample.name in mine for sample in parts.test)
    assert known and f"{known} of {len(parts.test)} pictures scored were trained on" in said(result)
    assert '"seen"' not in (tmp_path / "out.json").read_text()
    same = model(tmp_path / "same.safetensors", dataset, before, init=facts)  # its own parts were the start's
    assert evaluate_model(same, root).facts["pictures_trained_on"] == {"train": 0, "val": 0, "test": 0}
    assert len(open_start(later).seen) == 2
    audited = own_parts(open_model(later), dataset)
    own = {sample.name for sample in (*parts.train, *parts.val)}
    assert {name for name, part in audited.items() if part == "test"} == set(audited) - mine - own
    with pytest.raises(ModelError, match=f"was trained on {known} of {len(parts.test)} of the pictures"):
        pack.check_held_out(prepare(later, root, dataset.task, False, None, None, 0), later)
    pack.check_held_out(prepare(same, root, dataset.task, False, None, None, 0), same)


def test_a_card_of_very_many_pictures_leaves_them_out():
    few, many = ({"split": {"seed": 1, "seen": {"train": ["0" * 16] * n, "val": []}}} for n in (MOST, MOST + 1))
    assert carried(few) == few and carried(many) == {"split": {"seed": 1}}
    assert len(json.dumps(few, indent=2)) < 2**20 * 0.6


def test_where_no_task_is_given_the_models_own_is_scored_if_the_set_has_it(tmp_path):
    root = layouts.sd900(tmp_path / "set", 6)
    dataset = load(root, "patches")
    path = model(tmp_path / "model.safetensors", dataset, split(dataset, "paper"))
    network, facts = load_model(path)
    facts.provenance["data"]["task"] = "patches"
    save_model(path, network.state_dict(), facts)
    assert evaluate_model(path, root).facts["data"]["task"] == "patches"
    assert evaluate_model(path, root, "scratches", protocol="paper").facts["data"]["task"] == "scratches"
    plain = layouts.folder(tmp_path / "plain", 24)  # no patches
    assert evaluate_model(path, plain, protocol="paper").facts["data"]["task"] == "defect"
    with pytest.raises(DataError, match="several tasks"):
        load(root, usual="defect")
    with pytest.raises(DataError, match=r"no task 'patch'.*did you mean 'patches'"):
        load(root, "patch", usual="patches")
