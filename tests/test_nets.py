"""A-Net as published, and Table III's rows to the printed digit. What every network keeps is in test_contract."""

from collections import Counter

import pytest
import torch
from torch import nn

from anet.errors import OptionError
from anet.nets import build
from anet.nets.ablation import ABLATIONS, ablate
from anet.nets.anet import TABLE_II, ANet
from anet.nets.complexity import count

torch.set_num_threads(1)

# Table III at 224: (parameters in M, FLOPs in G as printed, parameters here, Light, Wide, convolutions in their place)
TABLE_III = {
    "anet-none": ("4.41", "3.12", 4_407_763, 0, 0, 22),
    "anet-light": ("3.36", "2.39", 3_358_340, 11, 0, 11),
    "anet-wide": ("1.43", "1.02", 1_427_316, 0, 11, 11),
    "anet-light-wide": ("0.38", "0.28", 377_893, 11, 11, 0),
    "anet-jump": ("0.39", "0.31", 387_237, 11, 11, 0),
    "anet": ("0.39", "0.44", 389_768, 11, 11, 0),
}


def picture(n=1, h=64, w=64, seed=0):
    return torch.randn(n, 3, h, w, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "h", "w"), [(1, 224, 224), (1, 256, 320), (3, 32, 64)])
def test_the_anet_gives_finite_logits_at_real_sizes(n, h, w):
    with torch.no_grad():
        logits = ANet().eval()(picture(n, h, w))
    assert logits.shape == (n, 1, h, w)
    assert torch.isfinite(logits).all()


# --- A-Net as published ---


def test_the_anet_has_these_modules():
    found = Counter(type(module).__name__ for module in ANet().modules() if not isinstance(module, nn.Sequential))
    assert found == {
        "ANet": 1, "ModuleDict": 1,
        "DownBlock": 5, "UpBlock": 4, "LightBlock": 11, "WideBlock": 11, "CatBlock": 1,
        "Conv2d": 125, "ConvTranspose2d": 5, "BatchNorm2d": 104, "PReLU": 95,
        "Dropout2d": 31, "MaxPool2d": 5, "Upsample": 4,
    }  # fmt: skip


def test_only_the_last_convolution_of_the_anet_has_a_bias():
    convolutions = {n: m for n, m in ANet().named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    assert [name for name, module in convolutions.items() if module.bias is not None] == [list(convolutions)[-1]]


def test_prelu_learns_one_slope_a_layer_and_up_sampling_aligns_corners():
    modules = list(ANet().modules())
    assert {m.num_parameters for m in modules if isinstance(m, nn.PReLU)} == {1}
    assert {(m.mode, m.align_corners) for m in modules if isinstance(m, nn.Upsample)} == {("bilinear", True)}
    assert {m.p for m in modules if isinstance(m, nn.Dropout2d)} == {0.1}


def test_the_jump_carries_detail_at_a_quarter_of_the_size():
    seen = {}
    network = ANet().eval()
    network.stages["cat"].register_forward_hook(lambda module, args, output: seen.update(detail=args[0], x=args[1]))
    network.stages["wide2"].register_forward_hook(lambda module, args, output: seen.update(wide2=output))
    with torch.no_grad():
        network(picture(1, 64, 96))
    assert seen["detail"].shape == seen["x"].shape == (1, 64, 16, 24)
    assert seen["detail"] is seen["wide2"]


# --- Table III ---


@pytest.mark.parametrize("name", TABLE_III)
def test_table_3_comes_out_to_the_printed_digits(name):
    params, flops, exact, *_ = TABLE_III[name]
    cost = count(build(name, 1), 224, 224)
    assert cost.params == exact
    assert f"{cost.params / 1e6:.2f}" == params
    assert f"{cost.as_paper / 1e9:.2f}" == flops


@pytest.mark.parametrize("name", TABLE_III)
def test_table_3_replaces_whole_blocks_by_bare_convolutions(name):
    *_, light, wide, bare = TABLE_III[name]
    kinds = Counter(type(stage).__name__ for stage in build(name, 1).stages.values())
    assert kinds["LightBlock"] + kinds["CatBlock"] == light
    assert kinds["WideBlock"] == wide
    assert kinds["Conv2d"] == bare
    assert kinds["CatBlock"] == (name in ("anet", "anet-jump"))
    assert kinds["SegHead"] == (name == "anet")
    assert kinds["ConvTranspose2d"] == (name != "anet")


def test_the_fair_plain_row_is_the_papers_plain_row_with_normalisation_and_activation():
    plain, none = build("anet-plain", 1).stages, build("anet-none", 1).stages
    assert list(plain) == list(none)
    swapped = [name for name in plain if type(plain[name]) is not type(none[name])]
    assert len(swapped) == 22
    for name in swapped:
        convolution, norm, act = plain[name]
        assert convolution.bias is None
        assert convolution.weight.shape == none[name].weight.shape
        assert (type(norm), type(act)) == (nn.BatchNorm2d, nn.PReLU)
    cost = count(build("anet-plain", 1), 224, 224)
    assert (cost.params, f"{cost.as_paper / 1e9:.2f}") == (4_409_961, "3.13")
    assert cost.macs == count(build("anet-none", 1), 224, 224).macs


def test_nothing_left_out_is_table_2_itself():
    assert ablate() == TABLE_II == ABLATIONS["anet"]


def test_a_jump_without_light_blocks_is_refused():
    with pytest.raises(OptionError, match="leave the jump out"):
        ablate(light=False)
