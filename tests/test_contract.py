"""The contract that every network keeps, one suite for A-Net, its ablation rows and the seventeen baselines."""

import sys
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from anet.errors import OptionError
from anet.nets import NETWORKS, ROWS, build
from anet.nets.complexity import ACTIVATIONS, count
from anet.nets.zoo import ZOO
from anet.paper.published import PRINTED
from anet.training.checkpoint import Facts, load_model, save_model
from tests.module_counts import DILATIONS, MODULE_COUNTS

torch.set_num_threads(1)

AUX = [name for name, network in ZOO.items() if network.aux_heads]
HEAD = ("Paper", "Source read", "Parameters", "Differs", "Initialisation")  # HOUSE, "Zoo contract"
OTHER_ACTIVATIONS = (nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU)


def picture(n=1, h=32, w=64, seed=0):
    return torch.randn(n, 3, h, w, generator=torch.Generator().manual_seed(seed))


def on_meta(name, classes=1, aux=False):
    with torch.device("meta"):
        return build(name, classes, aux)


@pytest.fixture(params=NETWORKS, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def network(name):
    """A network whose BatchNorm knows its inputs, as after training: at its start many layers would be near silent."""
    torch.manual_seed(0)
    network = build(name, 1, aux=name in AUX)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 0.9  # statistics are nearly those of the one batch it is shown, not a tenth of them
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("gamma"):  # CCNet's attention starts switched off, as in its source
                parameter.fill_(0.5)
        network.train()(picture(3, seed=1))
        for norm in norms:
            norm.momentum = 0.1
        answer = network.eval()(picture(3, seed=1))
    assert answer.std() > 1e-2  # a hundred times what exports may be off by: a flat answer would hide a wrong one
    return network


def test_there_are_seventeen_baselines_and_they_stand_beside_anet_and_its_rows():
    assert len(ZOO) == 17
    assert list(NETWORKS) == [*ROWS, *ZOO] and "anet" in ROWS


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize(("n", "h", "w"), [(1, 224, 224), (3, 256, 320), (1, 512, 512)])
def test_logits_have_the_size_of_the_picture_and_one_channel_a_class(name, classes, n, h, w):
    with torch.device("meta"):
        logits = build(name, classes).eval()(torch.empty(n, 3, h, w))
    assert logits.shape == (n, classes, h, w)


def test_a_network_says_where_it_is_from(name):
    network = on_meta(name)
    assert len(network.paper) > 20 and 2014 < network.year < 2025
    assert 32 % network.stride == 0  # the frame of training and runtime is a multiple of 32


def test_the_gradient_reaches_every_weight(name, network):
    network.train()
    network.zero_grad()
    sides = (128, 128) if name == "topformer" else (32, 64)  # a single token attends to itself, whatever it asks
    outputs = network(picture(3, *sides))
    assert isinstance(outputs, tuple) == (name in AUX)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(one.square().mean() for one in outputs).backward()
    silent = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_eval_is_deterministic_and_a_picture_does_not_depend_on_its_batch(network):
    network.eval()
    with torch.no_grad():
        batch = network(picture(3))
        assert batch.shape == (3, 1, 32, 64) and torch.isfinite(batch).all()
        assert torch.equal(batch, network(picture(3)))
        scale = float(batch.abs().max().clamp(min=1))
        torch.testing.assert_close(network(picture(3)[1:2]), batch[1:2], rtol=1e-4, atol=5e-5 * scale)


def test_a_model_file_holds_the_same_network(name, network, tmp_path):
    """As training writes it, without what only training needs."""
    path, kept = tmp_path / "model.safetensors", on_meta(name).state_dict().keys()
    weights = {key: value for key, value in network.state_dict().items() if key in kept}
    save_model(path, weights, Facts(name, ("sound", "defect"), 64, (0.5,) * 3, (0.2,) * 3))
    try:
        twin, facts = load_model(path)
    finally:
        path.unlink()  # up to half a gigabyte each
    assert (facts.network, facts.channels, twin.training) == (name, 1, False)
    with torch.no_grad():
        assert torch.equal(twin(picture()), network.eval()(picture()))


def test_training_in_bfloat16_is_finite(network):
    """The precision of training on a GPU; pictures with a dead half, too: constant maps make variances of 0.

    Not smaller: on maps of one row oneDNN's gradient of a 3x3 convolution's bfloat16 weights holds what lay in memory.
    """
    network.train()
    network.zero_grad()
    x = picture(3, 64, 64)
    x[:, :, :, 32:] = -3.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = network(x)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(one.float().square().mean() for one in outputs).backward()
    assert all(torch.isfinite(one).all() for one in outputs)
    assert [key for key, p in network.named_parameters() if not torch.isfinite(p.grad).all()] == []
    network.zero_grad()


def test_sides_that_are_no_multiple_of_the_stride_are_refused_and_the_padded_size_is_named(name):
    network = on_meta(name).eval()
    s = network.stride
    with pytest.raises(OptionError, match=f"{3 * s + 1}x{2 * s} given, pad to {4 * s}x{2 * s}"):
        network(torch.empty(1, 3, 3 * s + 1, 2 * s, device="meta"))


def test_no_network_is_made_for_less_than_one_class(name):
    with pytest.raises(OptionError, match="classes is 0"):
        build(name, 0)


def test_every_layer_is_executed_and_each_activation_once(name, network):
    calls = Counter()
    hooks = [m.register_forward_hook(lambda module, *_: calls.update([module])) for m in network.modules()]
    network.train()
    with torch.no_grad():
        network(picture(3))
    for hook in hooks:
        hook.remove()
    owners = [(key, m) for key, m in network.named_modules() if list(m.parameters(recurse=False))]
    parents = {id(m) for m in network.modules() if m in calls}
    idle = [key for key, m in owners if id(m) not in parents and not isinstance(m, nn.ParameterList)]
    assert idle == []
    acts = [m for m in network.modules() if isinstance(m, ACTIVATIONS + OTHER_ACTIVATIONS)]
    assert {calls[m] for m in acts} <= {1}


def test_nothing_is_registered_twice_and_nothing_is_frozen(name):
    network = on_meta(name, aux=name in AUX)
    every = [id(module) for _, module in network.named_modules(remove_duplicate=False)]
    assert len(every) == len(set(every))
    keys = [id(p) for _, p in network.named_parameters(remove_duplicate=False)]
    assert len(keys) == len(set(keys))
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_the_kinds_of_modules_are_pinned(name):
    """The right count of parameters with another activation or norm would be another network."""
    found = Counter(type(m).__name__ for m in on_meta(name).modules() if type(m).__module__.startswith("torch.nn"))
    assert {k: v for k, v in found.items() if k not in ("Sequential", "ModuleList", "ModuleDict")} == MODULE_COUNTS[
        name
    ]


@pytest.mark.parametrize("name", ZOO)
def test_dilations_are_pinned(name):
    """They change neither parameters nor cost."""
    convolutions = [m for m in on_meta(name).modules() if isinstance(m, nn.Conv2d)]
    found = Counter(max(m.dilation) for m in convolutions if max(m.dilation) > 1)
    assert found == DILATIONS.get(name, {})
    for m in convolutions:  # at stride 1 the size is kept, along both axes
        if m.stride == (1, 1):
            assert [2 * p for p in m.padding] == [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]


@pytest.mark.parametrize("name", ZOO)
def test_the_head_of_a_networks_file_says_what_the_contract_asks_for(name):
    text = sys.modules[ZOO[name].__module__].__doc__ or ""
    assert [part for part in HEAD if f"\n{part}: " not in text] == []
    printed = PRINTED[name].params_m
    assert f"{printed:.2f} M" in text and f"{PRINTED[name].clean(224).params / 1e6:.2f} M" in text


@pytest.mark.parametrize("name", AUX)
def test_heads_of_training_cost_nothing_at_inference_and_change_no_answer(name):
    plain, full = on_meta(name), on_meta(name, aux=True)
    assert count(full, 224, 224).macs == count(plain, 224, 224).macs
    own = plain.state_dict().keys()
    assert own <= full.state_dict().keys() and len(full.aux_heads) >= 1  # PGA-Net's heads are its own side maps
    torch.manual_seed(0)
    one, other = build(name, 2, aux=True).eval(), build(name, 2).eval()
    other.load_state_dict({key: value for key, value in one.state_dict().items() if key in own})
    with torch.no_grad():
        assert torch.equal(one(picture()), other(picture()))


@pytest.mark.parametrize("name", AUX)
def test_auxiliary_maps_have_the_channels_their_target_asks_for(name):
    logits, *maps = on_meta(name, 3, aux=True).train()(torch.empty(2, 3, 64, 64, device="meta"))
    heads = ZOO[name].aux_heads
    assert logits.shape == (2, 3, 64, 64)
    assert [one.shape[1] for one in maps] == [1 if head.target == "detail" else 3 for head in heads]
    assert all(head.target in ("mask", "detail") and head.weight > 0 for head in heads)


@pytest.mark.parametrize("name", [each for each in NETWORKS if each not in AUX])
def test_a_network_without_auxiliary_heads_says_so(name):
    with pytest.raises(OptionError, match=f"{name} has no auxiliary heads: leave --aux out"):
        build(name, 1, aux=True)


def test_openvino_agrees_with_torch(network):
    import openvino

    from anet.runtime.engines.compiled import core

    network.eval()
    x = picture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's tracer calls itself deprecated
        graph = openvino.convert_model(network, example_input=picture(seed=7), input=[tuple(x.shape)])
    compiled = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    agree(compiled(x.numpy())[0], network, x)


@pytest.mark.slow
def test_torch_export_and_onnx_runtime_agree_with_torch(network, tmp_path):
    import onnxruntime

    network.eval()
    x = picture(1, 64, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        program = torch.export.export(network, (picture(1, 64, 96, seed=7),), strict=False)
        agree(program.module()(x).detach().numpy(), network, x)
        torch.onnx.export(program, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    agree(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], network, x)


def agree(answer, network, x):
    """Hold an answer against torch's: within 1e-4, as probabilities and as logits, to which it is relative where large.

    CCNet's logits may be off by twice that: behind its attention, which is run twice, torch's float32 is itself 1.1e-4
    off its float64.
    """
    with torch.no_grad():
        truth = network(x).numpy()
    assert answer.shape == truth.shape
    off = np.abs(answer - truth).max()
    assert off <= (2e-4 if isinstance(network, ZOO["ccnet"]) else 1e-4) * max(1.0, float(np.abs(truth).max()))
    assert np.abs(expit(answer) - expit(truth)).max() <= 1e-4


def expit(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))
