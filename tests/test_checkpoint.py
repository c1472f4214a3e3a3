"""Model files: what is written comes back to the bit, what is anything else is refused in one line."""

import dataclasses
import json
import pickle
import random

import pytest
import safetensors.torch
import torch
from torch import nn

from anet.errors import ModelError, OutputError
from anet.nets import build
from anet.training import run
from anet.training.checkpoint import Facts, load_model, load_tensors, save_model, save_tensors
from anet.training.fit import make_optimizer
from anet.training.recipes import PAPER, STRONG
from anet.training.run import Plan, State

torch.set_num_threads(1)

FACTS = Facts("anet", ("background", "scratch"), 64, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), 0.4, 7, {"seed": 3})
SMALL = {"a": torch.arange(12.0).view(3, 4), "b": torch.tensor(5), "c": torch.zeros(0)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("anet", 1).eval()


@pytest.fixture(scope="module")
def model(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.safetensors"
    save_model(path, network.state_dict(), FACTS)
    return path


def refused(path, *words):
    """Check that `path` is refused in one line that names it and says `words`."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    line = str(caught.value)
    assert "\n" not in line
    assert path.name in line
    assert all(word in line for word in words), line


def test_a_model_comes_back_to_the_bit_with_its_facts_and_in_eval_mode(model, network):
    loaded, facts = load_model(model)
    assert facts == FACTS
    assert not loaded.training
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())


def test_the_run_folder_means_its_best_model(model):
    assert load_model(model.parent)[1] == FACTS


def test_the_same_model_is_the_same_bytes(model, network, tmp_path):
    save_model(tmp_path / "again.safetensors", network.state_dict(), FACTS)
    assert (tmp_path / "again.safetensors").read_bytes() == model.read_bytes()


def test_any_library_that_reads_safetensors_reads_a_model(model, network):
    assert safetensors.torch.load_file(model).keys() == network.state_dict().keys()


def test_300_random_bit_flips_are_all_noticed(tmp_path):
    save_tensors(tmp_path / "model", SMALL, {"name": "x"})
    content, rng = (tmp_path / "model").read_bytes(), random.Random(0)
    for _ in range(300):
        damaged, place = bytearray(content), rng.randrange(len(content))
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ModelError, match="damaged"):
            load_tensors(tmp_path / "damaged")


def test_bit_flips_all_over_a_real_model_are_noticed(model, tmp_path):
    content, rng = model.read_bytes(), random.Random(1)
    for _ in range(30):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged.safetensors").write_bytes(damaged)
        refused(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 100, 5000, -1])
def test_a_truncated_model_is_refused(model, tmp_path, kept):
    (tmp_path / "cut.safetensors").write_bytes(model.read_bytes()[:kept])
    refused(tmp_path / "cut.safetensors")


def test_bytes_added_at_the_end_are_noticed(model, tmp_path):
    (tmp_path / "long.safetensors").write_bytes(model.read_bytes() + b"\0")
    refused(tmp_path / "long.safetensors", "damaged")


def test_a_foreign_safetensors_file_is_refused(network, tmp_path):
    safetensors.torch.save_file(network.state_dict(), tmp_path / "foreign.safetensors")
    refused(tmp_path / "foreign.safetensors", "not written by anet")


class Evil:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_no_pickle_is_ever_opened(tmp_path, way):
    path, mark = tmp_path / "best.safetensors", tmp_path / "mark"
    if way == "pickle":
        path.write_bytes(pickle.dumps(Evil(mark)))
    else:
        torch.save({"weights": Evil(mark)}, path)
    refused(path)
    assert not mark.exists()


def test_a_checksum_does_not_make_a_pickle_a_model(tmp_path):
    from anet.files import UNSEALED, seal

    path, mark = tmp_path / "best.safetensors", tmp_path / "mark"
    path.write_bytes(seal(pickle.dumps(Evil(mark)) + f'"sha256": "{UNSEALED}"'.encode()))
    refused(path, "not a model file")
    assert not mark.exists()


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "plain file")
    refused(tmp_path / "missing.safetensors", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "run folder")


def test_weights_of_another_network_are_refused(network, tmp_path):
    save_model(tmp_path / "x.safetensors", build("anet", 3).state_dict(), FACTS)
    refused(tmp_path / "x.safetensors", "another network", "misshapen")


def test_missing_and_foreign_keys_are_refused_and_named(network, tmp_path):
    weights = dict(network.state_dict())
    gone = weights.pop(next(iter(weights)))
    save_model(tmp_path / "few.safetensors", weights, FACTS)
    refused(tmp_path / "few.safetensors", "1 missing keys", next(iter(network.state_dict())))
    save_model(tmp_path / "many.safetensors", {**network.state_dict(), "ex\x1b[31mtra": gone}, FACTS)
    refused(tmp_path / "many.safetensors", "1 foreign keys", r"ex\x1b[31mtra")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(network, tmp_path, value):
    weights = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    next(iter(weights.values())).view(-1)[0] = value
    save_model(tmp_path / "x.safetensors", weights, FACTS)
    refused(tmp_path / "x.safetensors", "NaN or infinite")


@pytest.mark.parametrize(
    "facts",
    [
        {"network": "resnet9000"},
        {"network": 5},
        {"network": None},
        {"network": {"a": 1}},
        {"size": 65},
        {"size": "64"},
        {"size": None},
        {"class_names": ["background"]},
        {"class_names": 2},
        {"class_names": [1, 2]},
        {"mean": [0.5]},
        {"mean": ["a", "b", "c"]},
        {"std": [0.2, 0.2, 0.0]},
        {"threshold": 1.5},
        {"threshold": "high"},
    ],
)
def test_a_sealed_description_of_nonsense_is_refused(network, tmp_path, facts):
    save_tensors(tmp_path / "x.safetensors", network.state_dict(), {**FACTS.to_dict(), **facts})
    refused(tmp_path / "x.safetensors")


def test_a_description_that_lacks_a_fact_is_refused(network, tmp_path):
    facts = FACTS.to_dict()
    del facts["size"]
    save_tensors(tmp_path / "x.safetensors", network.state_dict(), facts)
    refused(tmp_path / "x.safetensors", "size")


def test_a_format_of_tomorrow_is_refused_with_advice(tmp_path):
    save_tensors(tmp_path / "x.safetensors", SMALL, {"format": 2})
    refused(tmp_path / "x.safetensors", "format 2", "update anet")


def test_a_description_that_is_nan_is_never_written(network, tmp_path):
    with pytest.raises(ValueError):
        save_model(tmp_path / "x", network.state_dict(), dataclasses.replace(FACTS, threshold=float("nan")))
    assert not list(tmp_path.iterdir())


def test_saving_onto_a_folder_is_one_error_and_leaves_nothing(network, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "inside").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save_model(tmp_path / "x", network.state_dict(), FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def trained(network: nn.Module, recipe):
    """Give an optimiser that has done two steps."""
    optimizer = make_optimizer(network, recipe)
    for step in range(2):
        for index, parameter in enumerate(network.parameters()):
            parameter.grad = torch.full_like(parameter, 0.01 * (index % 5 + step))
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("recipe", [PAPER, STRONG], ids=lambda recipe: recipe.name)
def test_the_state_of_a_training_comes_back_to_the_bit(tmp_path, recipe):
    torch.manual_seed(0)
    network, other = build("anet", 1), build("anet", 1)
    ema = build("anet", 1) if recipe.ema else network
    other_ema = build("anet", 1) if recipe.ema else other
    optimizer, other_optimizer = trained(network, recipe), make_optimizer(other, recipe)
    state = State(step=2, loss_sum=0.1 + 0.2, best=1 / 3, best_epoch=1, history=[{"epoch": 1, "lr": 1e-3 / 3}])
    run.save_state(tmp_path, state, network, ema, optimizer, {"scale": 2.0})

    loaded, scaler = run.load_state(tmp_path, other, other_ema, other_optimizer)
    assert loaded == state
    assert scaler == {"scale": 2.0}
    for mine, its in ((network, other), (ema, other_ema)):
        assert all(torch.equal(value, its.state_dict()[key]) for key, value in mine.state_dict().items())
    slots, its_slots = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert slots.keys() == its_slots.keys()
    for index in slots:
        for slot, value in slots[index].items():
            assert torch.equal(value, its_slots[index][slot]), (index, slot)


def test_the_state_of_another_network_is_refused(tmp_path):
    network, other = build("anet", 1), build("anet", 3)
    run.save_state(tmp_path, State(step=2), network, network, trained(network, PAPER), {})
    with pytest.raises(ModelError, match=r"resume\.safetensors is another network"):
        run.load_state(tmp_path, other, other, make_optimizer(other, PAPER))


def test_the_weights_of_another_known_network_are_refused_and_both_are_named(tmp_path):
    save_model(tmp_path / "x.safetensors", build("enet", 1).state_dict(), FACTS)
    refused(tmp_path / "x.safetensors", "(anet) is another network, enet: ", "missing keys")


def test_a_model_file_is_no_state(tmp_path, network):
    save_model(tmp_path / run.STATE, network.state_dict(), FACTS)
    other = build("anet", 1)
    with pytest.raises(ModelError, match="missing keys"):
        run.load_state(tmp_path, other, other, make_optimizer(other, PAPER))


PLAN = Plan("/data/set", None, False, "anet", STRONG, 64, 0, None, 0, "cpu", 1, "32", 0, False, 1, 5)


def test_a_plan_comes_back_whole(tmp_path):
    run.write_plan(tmp_path, PLAN, {"provenance": {"data": {"digest": "0" * 64}}})
    plan, facts = run.read_plan(tmp_path)
    assert plan == PLAN
    assert facts["provenance"] == {"data": {"digest": "0" * 64}}


def test_300_random_bit_flips_of_a_plan_are_all_noticed(tmp_path):
    run.write_plan(tmp_path, PLAN, {"provenance": {}})
    path, rng = tmp_path / run.PLAN, random.Random(0)
    content = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"run\.json"):
            run.read_plan(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"plan": ' * 100_000])
def test_a_plan_of_anything_else_is_refused(tmp_path, content):
    (tmp_path / run.PLAN).write_bytes(content)
    with pytest.raises(ModelError, match=r"run\.json"):
        run.read_plan(tmp_path)


@pytest.mark.parametrize("change", [{"recipe": 5}, {"recipe": {"name": "x"}}, {"unknown": 1}])
def test_a_sealed_plan_that_does_not_fit_is_refused(tmp_path, change):
    from anet.files import UNSEALED, seal

    content = json.dumps({"sha256": UNSEALED, "plan": {**PLAN.to_dict(), **change}})
    (tmp_path / run.PLAN).write_bytes(seal(content.encode()))
    with pytest.raises(ModelError, match="cannot be read"):
        run.read_plan(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(ModelError, match="no run folder"):
            run.read_plan(folder)
