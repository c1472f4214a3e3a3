"""Trainings that start from another model, and trainings on a few labelled pictures."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from anet import data
from anet.bench.tune import _validation
from anet.data import Sample, Split
from anet.data.few import LEAST, fewer
from anet.errors import DataError, ModelError, OptionError
from anet.models import open_start
from anet.nets import build
from anet.pipeline import _proven_on, train_run
from anet.results import place, read, row
from anet.study.plan import look_at_plan
from anet.study.score import name_of, score_run
from anet.training.checkpoint import load_model
from anet.training.run import parts_of, read_plan
from anet.training.start import START, head_keys, put, start_of
from anet.training.train import resume, train
from tests.tiny import make_set, tiny

SILENT = Console(file=StringIO())


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished run of one epoch; its data lies beside it."""
    folder = tmp_path_factory.mktemp("first")
    return train(tiny(make_set(folder / "data"), folder, epochs=1, name="first"), SILENT)


def same(one, other, leave=()):
    return [key for key in one if key not in leave and not torch.equal(one[key], other[key])]


def test_a_start_gives_all_weights_to_the_same_classes_and_to_one_class_of_another_name(first):
    start = open_start(first)
    for names in (start.class_names, ("background", "dent")):
        torch.manual_seed(5)
        network = build("anet", 1)
        assert same(network.state_dict(), start.tensors)
        put(start, network, names)
        counters = [key for key in start.tensors if key.endswith("num_batches_tracked")]
        assert not same(network.state_dict(), start.tensors, counters)
        assert start.left(names) == ()


def test_other_classes_get_all_but_the_last_layer(first):
    start = open_start(first)
    names = ("background", "a", "b")
    network = build("anet", 3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    put(start, network, names)
    left = start.left(names)
    assert left == head_keys("anet") and left and all(key.startswith("stages.head.") for key in left)
    assert not [key for key in left if not torch.equal(network.state_dict()[key], before[key])]
    kernels = [key for key in before if key not in left and not key.endswith("num_batches_tracked")]
    assert all(torch.equal(network.state_dict()[key], start.tensors[key]) for key in kernels)


def test_several_classes_of_other_names_do_not_share_a_last_layer(first):
    facts = load_model(first)[1]
    three = start_of(build("anet", 3), replace(facts, class_names=("background", "a", "b")), "x", "0" * 64)
    assert three.left(("background", "a", "b")) == () and three.left(("background", "b", "a")) == head_keys("anet")


def test_another_network_is_refused_by_both_names(first, tmp_path):
    with pytest.raises(OptionError, match="first is anet, enet is to be trained"):
        train(tiny(first.parent / "data", tmp_path, network="enet"), SILENT, open_start(first))
    assert not list(tmp_path.iterdir())


def test_a_start_without_all_weights_is_refused(first):
    start = open_start(first)
    key = "stages.down1.main.0.weight"
    for tensors in ({k: v for k, v in start.tensors.items() if k != key}, {**start.tensors, key: torch.zeros(1)}):
        with pytest.raises(ModelError, match=f"1 weights are missing.*{key}"):
            put(replace(start, tensors=tensors), build("anet", 1), start.class_names)


def test_a_run_says_what_it_started_from_and_goes_on_without_it(first, tmp_path):
    begun = tiny(first.parent / "data", tmp_path, epochs=1)
    whole = train(begun, SILENT, open_start(first))
    plan, content = read_plan(whole)
    init = content["provenance"]["init"]
    assert plan.init == "first" and init["name"] == "first" and init["left"] == []
    assert init["sha256"] == open_start(first).sha256
    network, facts = load_model(whole)
    assert facts.mean == load_model(first)[1].mean and facts.provenance["init"] == init
    # as a kill before the first step leaves it: the plan and the start are there, and nothing else
    for name in ("best", "last", "resume"):
        (whole / f"{name}.safetensors").unlink()
    resume(whole, SILENT)
    again, _ = load_model(whole)
    assert not same(network.state_dict(), again.state_dict())
    fresh = train(replace(begun, name="fresh"), SILENT)
    assert same(network.state_dict(), load_model(fresh)[0].state_dict())
    assert not (fresh / START).exists()
    (whole / "resume.safetensors").unlink()
    (whole / START).unlink()
    with pytest.raises(ModelError, match=r"init\.safetensors is missing"):
        resume(whole, SILENT)


def test_the_result_is_named_by_what_it_started_from_and_by_its_pictures(first, tmp_path):
    options = tiny(first.parent / "data", tmp_path, epochs=1, pictures=4, changes={})
    said = StringIO()
    assert train_run(options, None, Console(file=said, width=300), str(first)) == 0
    assert "starts from first" in said.getvalue() and "4 of 10 labelled pictures" in said.getvalue()
    path = score_run(tmp_path / "run", tmp_path / "results")
    content = read(path)
    assert (
        path.stem == "anet-strong-e1-b3-size32-from-first-n4-s3" and row(content)[4] == "strong from first, 4 pictures"
    )
    assert (content["split"]["train"], content["split"]["val"], content["split"]["test"]) == (3, 1, 4)
    assert content["threshold"]["pictures"] == 1  # no more labels than the training had
    facts, labelled = load_model(tmp_path / "run")[1], first.parent / "data"
    parts = _proven_on(tmp_path, facts, labelled)[2]  # of a model file that has left its run
    assert (len(parts.train), len(parts.val)) == (3, 1)
    card = SimpleNamespace(provenance=facts.provenance, class_names=facts.class_names)
    assert len(_validation(Path("bundle"), card, labelled, None)) == 1  # type: ignore[arg-type]
    card.class_names = ("background", "dent", "pore")
    with pytest.raises(DataError, match="bundle tells dent, pore apart"):
        _validation(Path("bundle"), card, labelled, None)  # type: ignore[arg-type]
    plan, about = read_plan(tmp_path / "run")
    assert f"data/defect/given/{path.stem}" == name_of(plan, about["provenance"]) == content["name"]
    assert place("a", "b", "given", "anet", "strong", 0, init="runs/x/best.safetensors").endswith("strong-from-x-s0")


# a few pictures


def sample(number: int) -> Sample:
    name = f"p{number:03}"
    return Sample(name, name, None if number % 5 == 0 else name, 1 + number % 2)  # type: ignore[arg-type]


SPLIT = Split(
    tuple(map(sample, range(60))), tuple(map(sample, range(60, 75))), tuple(map(sample, range(75, 90))), "x", 0, "so"
)


@given(st.integers(LEAST, 75), st.integers(LEAST, 75), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_fewer_pictures_are_some_of_more_and_test_stays_whole(one, other, seed):
    few, more = (fewer(SPLIT, number, seed) for number in sorted((one, other)))
    for part, number in ((few, min(one, other)), (more, max(one, other))):
        assert len(part.train) + len(part.val) == number and part.train and part.val and part.test == SPLIT.test
    assert set(few.train) <= set(more.train) <= set(SPLIT.train) and set(few.val) <= set(more.val) <= set(SPLIT.val)


@given(st.integers(10, 75), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_kinds_of_pictures_come_in_proportion(number, seed):
    train = fewer(SPLIT, number, seed).train
    sound = sum(one.mask is None for one in train)
    assert abs(sound - len(train) * 12 / 60) <= 2


@pytest.mark.parametrize("number", [0, 2, 76, -1])
def test_a_number_of_pictures_that_cannot_be_is_said(number):
    with pytest.raises(DataError, match="3 to 75"):
        fewer(SPLIT, number, 0)


def test_all_pictures_are_the_split_itself():
    assert fewer(SPLIT, None, 0) is SPLIT


def test_a_run_of_before_reads_as_one_of_all_pictures(first):
    plan, _ = read_plan(first)
    assert plan.pictures is None and plan.init is None
    assert len(parts_of(plan, data.load(plan.data)).train) == 8


# plans


def plan_of(tmp_path, **more):
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    path = tmp_path / "plan.toml"
    row = 'data = "x"\ntasks = ["defect"]\nprotocols = ["given"]\nnetworks = ["anet"]\n'
    path.write_text(f'[data]\nx = "x"\n[[runs]]\n{row}{lines}')
    return look_at_plan(path)


def test_a_plan_names_a_start_and_a_number_of_pictures(tmp_path):
    plan, faults = plan_of(tmp_path, init="anet-surface", pictures=20)
    assert not faults and plan.runs[0].name == "x/defect/given/anet-strong-from-anet-surface-n20-s0"
    plan, _ = plan_of(tmp_path, init="runs/mine")
    assert plan.runs[0].name.endswith("anet-strong-from-mine-s0")


@pytest.mark.parametrize("more", [{"init": ""}, {"init": 3}, {"init": "a\n"}, {"pictures": 0}, {"pictures": "ten"}])
def test_a_start_or_number_that_cannot_be_is_a_fault(tmp_path, more):
    plan, faults = plan_of(tmp_path, **more)
    assert not plan.runs and next(iter(more)) in str(faults[0])


@pytest.mark.parametrize("number", range(LEAST, 12))
def test_what_validates_shows_a_defect_where_any_does(number):
    mostly_sound = [replace(one, mask=one.name, empty=place % 8 > 0) for place, one in enumerate(SPLIT.train)]
    parts = replace(SPLIT, train=tuple(mostly_sound), val=tuple(mostly_sound[:15]))
    found = fewer(parts, number, 0)
    assert any(not one.sound for one in found.val) and any(not one.sound for one in found.train)
