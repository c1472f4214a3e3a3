"""int8 answers nearly as float does, and says what it cannot do."""

import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anet.data import load, split
from anet.errors import OptionError
from anet.export import quantize as room
from anet.export.convert import convert
from anet.export.parity import points
from anet.export.quantize import check_method, quantize, quantize_accurately
from anet.nets import ANet
from anet.nets.deployable import Deployable
from anet.runtime.card import Card
from anet.runtime.engines.compiled import core, ov
from anet.training.checkpoint import Facts
from anet.training.recipes import STRONG
from anet.training.refine import folded, likeness, refine, rounding
from anet.training.run import Plan
from tests.test_export import MEAN, STD, facts, lively
from tests.tiny import make_set

SIDE = 32
ROWS = (("down", 3, 8, 32, "down1"), ("light", 32, 8, 32, "light1"), ("wide", 32, 8, 32, "wide1"))
ROWS += (("head", 32, 16, None, "head"),)  # A-Net's kinds of layers in a twentieth of its depth: seconds, not minutes


def small() -> nn.Module:
    torch.manual_seed(1)
    return lively(ANet(1, rows=ROWS)).eval()


def frames(count: int = 6) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))


def graph(network: nn.Module) -> ov.Model:
    card = Card(**facts(h=SIDE, w=SIDE), channels=1)
    return convert(Deployable(network, MEAN, STD).eval(), card)


def answers(model: ov.Model, pictures: list[np.ndarray]) -> np.ndarray:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.stack([compiled({0: frame[None]})[0][0] for frame in pictures])


def rounded(model: ov.Model) -> int:
    return sum(one.get_type_name() == "FakeQuantize" for one in model.get_ops())


def plan(data: Path) -> Plan:
    recipe = dataclasses.replace(STRONG, batch=4)
    return Plan(
        data=str(data), task=None, free=False, network="anet", recipe=recipe, size=SIDE, seed=0, protocol=None,
        split_seed=0, accelerator="cpu", devices=1, precision="32", workers=0, compiled=False, threads=1, save_every=0,
    )  # fmt: skip


def known() -> Facts:
    return Facts("anet", ("background", "kind1"), SIDE, MEAN, STD)


def test_int8_answers_nearly_as_float_and_leaves_the_float_model_alone():
    model, pictures = graph(small()), frames()
    before = answers(model, pictures)
    made = quantize(model, pictures)
    assert rounded(made) and not rounded(model)
    off = np.abs(answers(made, pictures) - before)
    assert off.max() > 0 and off.mean() < 0.05
    assert np.array_equal(answers(model, pictures), before)


def test_what_reads_the_picture_stays_in_float():
    def read_by(model: ov.Model) -> set[str]:
        """Name what each convolution that reads the picture is given."""
        ops = {one.get_friendly_name(): one for one in model.get_ops()}
        return {ops[name].input_value(0).get_node().get_type_name() for name in names}

    model = graph(small())
    names = room.picture_layers(model)
    assert len(names) == 2  # of A-Net's first block: the main path and, after max-pooling, the residual one
    assert "FakeQuantize" not in read_by(quantize(model, frames()))
    network = folded(small())
    with rounding(network) as ranges, ranges.taken(), torch.no_grad():
        network(torch.rand(1, 3, SIDE, SIDE))
        taken = {one for one in ranges.largest if one.in_channels == 3}
    assert ranges.largest and not taken


def test_no_pictures_no_ranges():
    for call in (lambda: quantize(graph(small()), []), lambda: quantize_accurately(graph(small()), [], len, 0.3)):
        with pytest.raises(OptionError, match="none was given"):
            call()


def test_an_nncf_that_does_not_fit_openvino_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "nncf").mkdir()
    (tmp_path / "nncf" / "__init__.py").write_text(
        "import openvino\nopenvino.Type.u1729\n"
    )  # as nncf 3.4 did with 2025.4
    monkeypatch.delitem(sys.modules, "nncf", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionError, match=r"nncf does not fit this OpenVINO.*u1729"):
        quantize(graph(small()), frames())


def test_pictures_are_spread_over_the_whole_set(monkeypatch):
    monkeypatch.setattr(room, "SUBSET", 3)
    assert [one[0, 0, 0] for one in room.spread([np.full((2, 2, 3), k) for k in range(7)])] == [0, 3, 6]


def test_layers_are_put_back_to_float_until_the_loss_is_allowed():
    model, pictures = graph(small()), frames(3)
    wanted = answers(model, pictures)

    def score(probs) -> float:  # points lost by being off: no int8 of all layers gets away with it
        return 100 - 100 * float(np.abs(np.stack([probs(frame) for frame in pictures]) - wanted).mean())

    whole = quantize(model, pictures)
    off = 100 * float(np.abs(answers(whole, pictures) - wanted).mean())  # more where a processor has no VNNI
    made = quantize_accurately(model, pictures, score, max_drop=off / 2)
    assert 0 < rounded(made) < rounded(whole)


@pytest.mark.parametrize("drop", [-1, float("nan")])
def test_a_gain_cannot_be_asked_for(drop):
    with pytest.raises(OptionError, match="0 or more would work"):
        quantize_accurately(graph(small()), frames(), len, drop)


@dataclasses.dataclass(frozen=True)
class Seen:
    name: str
    image: np.ndarray
    truth: np.ndarray

    def read(self, classes: int) -> tuple[np.ndarray, np.ndarray]:
        return self.image, self.truth


def test_points_are_the_iou_of_the_cards_threshold():
    card = Card(**facts(h=SIDE, w=SIDE), channels=1)
    truth = np.zeros((SIDE, SIDE), np.uint8)
    truth[:8] = 1
    sample = Seen("one", frames(1)[0], truth)
    half = np.zeros((SIDE, SIDE, 1), np.float32)
    half[:4] = 0.9
    assert points(lambda frame: half, [sample], card) == pytest.approx(50)
    with pytest.raises(OptionError, match="no defect"):
        points(lambda frame: half * 0, [dataclasses.replace(sample, truth=truth * 0)], card)


def test_an_unknown_way_is_refused():
    with pytest.raises(OptionError, match="ptq, accuracy, qat would work"):
        check_method("int4")


def test_folding_keeps_the_answer_and_leaves_no_norm_behind_a_convolution():
    network, x = small(), torch.rand(2, 3, SIDE, SIDE)
    flat = folded(network)
    with torch.no_grad():
        assert torch.allclose(flat(x), network(x), atol=1e-4)
    kinds = [sum(isinstance(one, nn.BatchNorm2d) for one in net.modules()) for net in (network, flat)]
    assert kinds[1] == 1 < kinds[0]  # the head's first follows a PReLU


def test_rounding_ends_without_a_trace():
    network, x = small(), torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        before, keys = network(x), network.state_dict().keys()
        with rounding(network) as ranges:
            with ranges.taken():
                network(x)
            assert not torch.equal(network(x), before)
        assert torch.equal(network(x), before) and network.state_dict().keys() == keys


@pytest.mark.parametrize("channels", [1, 3])
def test_likeness_is_zero_for_the_same_answer_only(channels):
    torch.manual_seed(0)
    one, other = torch.randn(2, 2, channels, 4, 4)
    assert float(likeness(one, one)) == pytest.approx(0, abs=1e-6)
    assert float(likeness(one, other)) > 0.01


def test_refining_brings_the_rounded_answers_nearer_to_the_float_ones(tmp_path):
    parts = split(load(make_set(tmp_path / "set")))
    network = small()
    before = copy.deepcopy(network.state_dict())
    losses: list[float] = []
    refined = refine(network, plan(tmp_path / "set"), known(), parts, 30, lambda step, steps, loss: losses.append(loss))
    assert len(losses) == 60 and sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(hasattr(one, "parametrizations") for one in refined.modules())
    assert rounded(quantize(graph(refined), frames())) > 0


def test_refining_needs_an_epoch(tmp_path):
    with pytest.raises(OptionError, match="1 or more"):
        refine(small(), plan(tmp_path), known(), split(load(make_set(tmp_path / "set"))), 0)
