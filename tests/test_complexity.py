"""Counts of parameters, true multiply-accumulates and the paper's count; equations (1) to (4)."""

import json

import pytest
import torch
from torch import nn

from anet.errors import OptionError
from anet.nets import build
from anet.nets.anet import ANet, LightBlock, WideBlock, dw_conv
from anet.nets.complexity import (
    conv_flops,
    conv_params,
    count,
    dw_conv_flops,
    dw_conv_params,
    print_complexity,
)


class First(nn.Module):
    """Make `channels` channels of a picture, free of charge, and give them to one block."""

    def __init__(self, channels, block):
        super().__init__()
        self.channels, self.block = channels, block

    def forward(self, x):
        return self.block(x[:, :1].expand(-1, self.channels, -1, -1))


def cost_of(block, channels=32, side=112):
    return count(First(channels, block), side, side)


@pytest.fixture(scope="module")
def anet_224():
    return count(ANet(), 224, 224)


# --- A-Net ---


def test_anet_reads_as_the_paper_at_224(anet_224):
    assert (anet_224.params, anet_224.params_as_paper) == (389_768, 389_768)
    assert f"{anet_224.as_paper / 1e9:.4f}" == "0.4406"
    assert f"{anet_224.macs / 1e9:.4f}" == "0.3262"
    assert anet_224.flops == 2 * anet_224.macs
    assert f"{anet_224.activations / 1e6:.2f}" == "11.81"


def test_anet_reads_as_the_paper_at_512():
    cost = count(ANet(), 512, 512)
    assert (f"{cost.as_paper / 1e9:.4f}", f"{cost.macs / 1e9:.4f}") == ("2.3021", "1.7042")


def test_layers_add_up_to_the_network(anet_224):
    for field in ("params", "macs", "as_paper"):
        assert sum(getattr(layer, field) for layer in anet_224.layers) == getattr(anet_224, field)


def test_counting_leaves_the_network_as_it_was():
    network = ANet().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count(network, 64, 64)
    assert network.training
    assert all(not module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_size_that_the_network_refuses_is_refused():
    with pytest.raises(OptionError, match="pad to 224x224"):
        count(ANet(), 200, 224)


# --- III-C's worked examples: 32x112x112 ---


@pytest.mark.parametrize(
    ("block", "params", "as_paper"),
    [
        (nn.Conv2d(32, 32, 3, padding=1, bias=False), "9.22", "115.61"),
        (LightBlock(32, 8), "0.75", "9.93"),
        (nn.Conv2d(32, 32, 5, padding=1, bias=False), "25.60", "309.76"),  # padding 1: the paper's mistake
        (WideBlock(32, 8), "1.25", "16.26"),
    ],
    ids=["3x3", "light", "5x5 as the paper counted it", "wide"],
)
def test_the_worked_examples_of_section_3c(block, params, as_paper):
    cost = cost_of(block)
    assert (f"{cost.params / 1e3:.2f}", f"{cost.as_paper / 1e6:.2f}") == (params, as_paper)


def test_a_5x5_convolution_that_keeps_the_size_costs_more_than_the_paper_says():
    assert cost_of(nn.Conv2d(32, 32, 5, padding=2, bias=False)).macs == 25_600 * 112 * 112 == 321_126_400


# --- equations (1) to (4) ---


@pytest.mark.parametrize(("kernel", "ci", "co"), [((3, 3), 32, 32), ((5, 1), 8, 8), ((2, 2), 3, 7), ((1, 1), 64, 16)])
def test_equation_1_counts_the_parameters_of_a_convolution(kernel, ci, co):
    assert conv_params(*kernel, ci, co) == sum(p.numel() for p in nn.Conv2d(ci, co, kernel, bias=False).parameters())


@pytest.mark.parametrize(("ci", "co"), [(8, 8), (128, 64), (3, 5)])
def test_equation_3_counts_the_parameters_of_a_dw_conv(ci, co):
    assert dw_conv_params(3, 3, ci, co) == sum(p.numel() for p in dw_conv(ci, co).parameters())


def test_equation_2_as_printed_is_not_what_the_sentence_and_the_tables_count():
    assert conv_params(3, 3, 32, 32) * 112 * 112 == 115_605_504  # the sentence's 115.61 M
    assert conv_flops(3, 3, 32, 32, 112, 112) == 17 * 32 * 32 * 112 * 112 == 218_365_952
    assert conv_flops(3, 3, 32, 32, 112, 112, groups=32) == 218_365_952 // 32


def test_equation_4_as_printed_mixes_flops_with_multiply_accumulates():
    depthwise = conv_flops(3, 3, 8, 8, 10, 10, groups=8)
    pointwise_macs = cost_of(nn.Conv2d(8, 8, 1, bias=False), 8, 10).macs
    assert dw_conv_flops(3, 3, 8, 8, 10, 10) == depthwise + pointwise_macs


# --- true counts ---


@pytest.mark.parametrize(
    ("block", "macs"),
    [
        (nn.Conv2d(4, 6, (3, 1), padding=(1, 0)), 6 * 100 * 4 * 3),
        (nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), 8 * 100 * 9),
        (nn.Conv2d(4, 6, 2, stride=2), 6 * 25 * 4 * 4),
        (nn.ConvTranspose2d(4, 6, 2, 2), 100 * 4 * 6 * 4),  # on its input grid
        (nn.ConvTranspose2d(4, 8, 2, 2, groups=4), 100 * 4 * 2 * 4),
        (nn.Linear(10, 7), 4 * 10 * 10 * 7),
        (nn.Sequential(nn.BatchNorm2d(4), nn.PReLU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), 0),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
def test_true_macs_are_convolutions_and_linear_layers_on_their_own_grid(block, macs):
    assert cost_of(block, 4, 10).macs == macs


class Halves(nn.Module):
    """One convolution called twice, one never, one parameter of its own."""

    def __init__(self):
        super().__init__()
        self.twice, self.never = nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 9, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.twice(self.twice(x)) * self.scale


def test_every_execution_counts_and_what_is_not_executed_does_not():
    cost = cost_of(Halves(), 4, 10)
    assert (cost.macs, cost.params) == (2 * 16 * 100, 16 + 36 + 1)
    assert {layer.name: layer.shape for layer in cost.layers} == {
        "block": (4, 10, 10),
        "block.twice": (4, 10, 10),
        "block.never": None,
    }


# --- the paper's counter, rule by rule ---


class ForeignNorm(nn.BatchNorm2d):
    """A subclass, as SynchronizedBatchNorm2d: ptflops looks for the exact class."""


@pytest.mark.parametrize(
    ("block", "as_paper"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), 100 * (6 * 4 * 9 + 6)),
        (nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), 100 * 8 * 9),
        (nn.ConvTranspose2d(4, 6, 2, 2), 400 * (6 * 4 * 4 + 6)),  # on the output grid: 4 times too much
        (nn.BatchNorm2d(4), 2 * 400),
        (nn.BatchNorm2d(4, affine=False), 400),
        (nn.GroupNorm(2, 4), 2 * 400),
        (nn.LayerNorm([4, 10, 10]), 400),
        (nn.ReLU(), 400),
        (nn.PReLU(), 400),
        (nn.GELU(), 400),
        (nn.MaxPool2d(2), 400),  # the input's elements
        (nn.AdaptiveAvgPool2d(1), 400),
        (nn.Upsample(scale_factor=2), 1600),
        (nn.Linear(10, 7), 400 * 7 + 7),  # bias once, not once a token
        (nn.Linear(10, 7, bias=False), 400 * 7),
        (nn.UpsamplingBilinear2d(scale_factor=2), 0),
        (nn.Sigmoid(), 0),
        (nn.Hardswish(), 0),
        (nn.Dropout2d(), 0),
        (ForeignNorm(4), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_papers_counter_has_the_rules_of_ptflops_0_7_0(block, as_paper):
    assert cost_of(block, 4, 10).as_paper == as_paper


class Twice(nn.Module):
    """A backbone kept whole and by its stages, as in FCN, BiSeNet and STDC."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False))
        self.stage = self.backbone[0]

    def forward(self, x):
        return self.stage(x)


def test_a_module_registered_under_two_names_counts_twice_in_the_papers_count_alone():
    cost = cost_of(Twice(), 4, 10)
    assert (cost.params, cost.params_as_paper, cost.macs, cost.as_paper) == (16, 16, 1600, 3200)
    assert sum(layer.as_paper for layer in cost.layers) == 3200


def test_frozen_parameters_are_left_out_of_the_papers_parameters_alone():
    block = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False).requires_grad_(False), nn.Conv2d(4, 2, 1, bias=False))
    cost = cost_of(block, 4, 10)
    assert (cost.params, cost.params_as_paper, cost.macs) == (24, 8, 2400)


def test_a_linear_layer_wraps_at_32_bits_in_the_papers_count_alone():
    block = nn.Linear(512, 18_432, bias=False)  # 512 x 512 x 18432 > 2^32
    cost = count(First(1, block), 512, 512)
    assert cost.macs == 512 * 512 * 18_432
    assert cost.as_paper == cost.macs - 2**32


def test_functional_calls_count_nothing():
    class Functional(nn.Module):
        def forward(self, x):
            x = nn.functional.max_pool2d(nn.functional.relu(x), 2)
            return torch.cat([x @ x.transpose(2, 3), x], dim=1)

    cost = cost_of(Functional(), 4, 10)
    assert (cost.macs, cost.as_paper, cost.layers) == (0, 0, ())


def test_activations_are_what_convolutions_and_linear_layers_give_out_in_all_their_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.up = (
                nn.Conv2d(4, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.ConvTranspose2d(4, 2, 2, 2),
            )

        def forward(self, x):
            return self.up(self.norm(self.conv(self.conv(x))))

    assert cost_of(Twice(), 4, 10).activations == 2 * 4 * 10 * 10 + 2 * 20 * 20


# --- printed and written ---


def test_the_table_names_every_count(capsys, anet_224):
    print_complexity("anet", anet_224)
    plain = capsys.readouterr().out
    assert "389,768" in plain
    assert all(text in plain for text in ("true MACs", "0.3262 G", "2 x true MACs", "0.6524 G", "activations"))
    assert "0.4406" not in plain
    print_complexity("anet", anet_224, as_paper=True)
    assert "0.4406 G" in capsys.readouterr().out


def test_the_table_of_layers_has_a_row_a_layer_and_names_are_whole(capsys, anet_224):
    print_complexity("anet", anet_224, as_paper=True, layers=True)
    text = capsys.readouterr().out
    assert [layer.name for layer in anet_224.layers if layer.name not in text] == []
    assert "102,760,448" in text
    assert "…" not in text


def test_a_complexity_is_json():
    cost = count(build("anet-none", 2), 64, 96)
    found = json.loads(json.dumps(cost.to_dict()))
    assert (found["h"], found["w"], found["params"]) == (64, 96, cost.params)
    assert found["layers"][-1]["shape"] == [2, 64, 96]
