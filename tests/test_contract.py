"""The contract that every network keeps, one suite for A-Net, its ablation rows and the seventeen baselines."""

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
from tests.module_counts import MODULE_COUNTS

torch.set_num_threads(1)

AUX = [name for name, network in ZOO.items() if network.aux_heads]
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
    """A network whose BatchNorm has seen a batch, as after training: at its start many layers would be near silent."""
    torch.manual_seed(0)
    network = build(name, 1, aux=name in AUX)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("gamma"):  # CCNet's attention starts switched off, as in its source
                parameter.fill_(0.5)
        network.train()(picture(3, seed=1))
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
        torch.testing.assert_close(network(picture(3)[1:2]), batch[1:2], rtol=1e-4, atol=1e-5 * scale)


def test_weights_put_into_a_new_network_make_the_same_one(name, network):
    network.eval()
    twin = build(name, 1, aux=name in AUX).eval()
    twin.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(twin(picture()), network(picture()))


def test_sides_that_are_no_multiple_of_the_stride_are_refused_and_the_padded_size_is_named(name):
    network = on_meta(name).eval()
    s = network.stride
    if s == 1:
        pytest.skip("takes any size")
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

    network.eval()
    x = picture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's tracer calls itself deprecated
        graph = openvino.convert_model(network, example_input=x, input=[tuple(x.shape)])
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    agree(compiled(x.numpy())[0], network, x)


@pytest.mark.slow
def test_torch_export_and_onnx_runtime_agree_with_torch(network, tmp_path):
    import onnxruntime

    network.eval()
    x = picture(1, 64, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about itself
        program = torch.export.export(network, (x,), strict=False)
        agree(program.module()(x).detach().numpy(), network, x)
        torch.onnx.export(program, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    agree(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], network, x)


def agree(answer, network, x):
    """Hold an answer against torch's: within 1e-4, as probabilities and, where logits are large, relative to them."""
    with torch.no_grad():
        truth = network(x).numpy()
    assert answer.shape == truth.shape
    assert np.abs(answer - truth).max() <= 1e-4 * max(1.0, float(np.abs(truth).max()))
