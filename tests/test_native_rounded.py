"""The compiled kernel in bfloat16 and int8: close to torch, behind the gate; where it cannot run, another answers."""

import functools

import numpy as np
import pytest
import torch

from anet.errors import ModelError, OptionError
from anet.export import deployable
from anet.export.convert import convert
from anet.export.deployable import export_bundle
from anet.export.native import MOST, native_weights, steps_of
from anet.nets.deployable import Deployable
from anet.provenance import machine
from anet.runtime import engine
from anet.runtime.card import MODELS, Card, read_card
from anet.runtime.engine import Engine
from anet.runtime.engines import native
from anet.runtime.engines.native import HEADS, Native, read_weights
from tests.test_engines import Bright
from tests.test_export import MEAN, STD, facts, frames, network
from tests.test_native import picture, torch_answer

FORMATS = {"bf16": "bf16", "int8": "native-int8"}  # precision -> format
OFF = {"bf16": 2e-2, "int8": 8e-2}  # of noise, and weights that nobody trained: more than a trained network is off
ROUNDED = [
    pytest.param(one, marks=pytest.mark.skipif(native.library(one) is None, reason=f"this processor has no {what}"))
    for one, what in (("bf16", "AVX512_BF16, or no kernel is built for it"), ("int8", "VNNI, or no kernel is built"))
]
each = pytest.mark.parametrize("precision", ROUNDED)


@functools.cache
def content(classes: int, precision: str) -> bytes:
    one = network(classes).eval()
    steps = steps_of(Deployable(one, MEAN, STD).eval(), [picture(224, 224, seed)[0] for seed in range(3)])
    return native_weights(one, MEAN, STD, precision, steps if precision == "int8" else None)


def answers(h: int, w: int, classes: int = 2, threads: int = 1, precision: str = "bf16") -> Native:
    card = Card(**facts(classes, h=h, w=w), channels=1 if classes == 2 else classes)
    return Native(card, [content(classes, precision)], threads, 0, "a bundle")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Give a function that exports A-Net where a rounded kernel takes `ms`, in float32 2 ms, and OpenVINO 3 ms."""

    def export(precision: str, ms: float = 1.0, max_drop: float = 100, formats: tuple[str, ...] = ()):
        took = {f"native {precision}": ms, "native f32": 2.0, "openvino f32": 3.0, "openvino int8": 3.0}
        timed = {name: {"median_ms": one, "p95_ms": 9.0} for name, one in took.items()}
        monkeypatch.setattr(deployable, "speed", lambda engines, frame: {"machine": machine(), **timed})
        formats = formats or ("openvino", "native", FORMATS[precision])
        return export_bundle(network(), facts(), tmp_path / "b", [Bright("a")], formats, max_drop=max_drop)

    return export


@each
@pytest.mark.parametrize(("h", "w", "classes"), [(64, 96, 2), (224, 224, 2), (32, 352, 2), (96, 64, 4)])
def test_it_answers_almost_as_torch_does(precision, h, w, classes):
    image = picture(h, w)
    found, wanted = answers(h, w, classes, precision=precision).run(image), torch_answer(image, classes)
    assert np.abs(found - wanted).max() <= OFF[precision] and wanted.std() > 0.05
    if classes == 2:
        assert ((found > 0.5) == (wanted > 0.5)).mean() >= 0.98
    exact = answers(h, w, classes, precision="f32").run(image)
    assert np.abs(found - exact).max() > 1e-5  # or it was not rounded at all


@pytest.mark.parametrize("kind", native.KINDS["int8"])
def test_each_kernel_of_int8_that_was_built_gives_the_same_bits(kind, monkeypatch):
    monkeypatch.setattr(native, "KINDS", {"int8": (kind,)})
    one = native.library.__wrapped__("int8")
    if one is None:
        pytest.skip(f"{kind} is not for this machine")
    image = picture(64, 96)
    wanted = answers(64, 96, 4, precision="int8").run(image)
    monkeypatch.setattr(native, "library", lambda precision: one)
    assert np.array_equal(answers(64, 96, 4, precision="int8").run(image), wanted)


@each
@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(precision, threads):
    image = picture(96, 64)
    alone, together = answers(96, 64, precision=precision), answers(96, 64, threads=threads, precision=precision)
    for _ in range(3):
        assert np.array_equal(together.run(image), alone.run(image))


@each
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_even_pictures_are_answered_as_torch_does(precision, grey):
    image = np.full((1, 64, 64, 3), grey, np.uint8)
    assert np.abs(answers(64, 64, precision=precision).run(image) - torch_answer(image)).max() <= OFF[precision]


@pytest.mark.skipif(native.library("bf16") is None, reason="this processor has no AVX512_BF16")
@pytest.mark.parametrize("wrong", [1e30, -1e30])
def test_an_answer_that_overflows_is_nan_or_infinite_and_never_a_probability(wrong):
    overflowing = answers(32, 32)
    overflowing.idle.clear()
    overflowing.weights = overflowing.weights.copy()
    overflowing.weights[::7] *= wrong
    assert not np.isfinite(overflowing.run(picture(32, 32))).all()


def test_float_precisions_hold_the_same_numbers():
    one, other = (content(2, precision) for precision in ("f32", "bf16"))
    assert one != other and one[16:] == other[16:] and len(set(map(len, HEADS.values()))) == 1
    assert np.array_equal(read_weights(one, "it"), read_weights(other, "it"))


def test_steps_reach_as_far_as_the_pictures_shown_and_no_channel_is_left_without():
    one = network().eval()
    steps = steps_of(Deployable(one, MEAN, STD).eval(), frames(2))
    first = one.stages["down1"].main[2]
    found = []
    hook = first.register_forward_hook(lambda module, given, output: found.append(output.abs().amax((0, 2, 3))))
    with torch.inference_mode():
        for frame in frames(2):
            Deployable(one, MEAN, STD).eval()(torch.from_numpy(frame)[None])
    hook.remove()
    assert torch.allclose(steps[first] * MOST, torch.stack(found).amax(0).double())
    assert all((value > 0).all() and torch.isfinite(value).all() for value in steps.values())
    assert not one.stages["down1"].main[2]._forward_hooks
    with pytest.raises(OptionError, match="pictures"):
        steps_of(Deployable(one, MEAN, STD).eval(), [])


@pytest.mark.skipif(native.library("int8") is None, reason="this processor has no VNNI, or no kernel is built")
def test_float_weights_are_not_taken_for_those_of_int8():
    card = Card(**facts(h=32, w=32), channels=1)
    mixed = HEADS["int8"] + content(2, "f32")[16:]
    with pytest.raises(ModelError, match="not A-Net's"):
        Native(card, [mixed], 1, 0, "a bundle")


@each
def test_it_answers_where_nothing_is_asked_for_when_it_is_the_fastest(made, precision):
    bundle = made(precision)
    card = read_card(bundle)
    assert card.fastest == (f"native {precision}", "native f32", "openvino f32") and not card.left_out
    chosen, asked = Engine(bundle), Engine(bundle, precision=precision)
    assert (chosen.name, chosen.precision, chosen.note) == ("native", precision, "")
    assert (asked.name, asked.precision, asked.note) == ("native", precision, "")
    frame = frames(1)[0]
    assert np.array_equal(chosen.probs(frame), asked.probs(frame))
    assert Engine(bundle, precision="f32").name == Engine(bundle, engine="openvino").name == "openvino"
    assert Engine(bundle, engine="native", precision="f32").precision == "f32"


@each
@pytest.mark.parametrize(("ms", "max_drop", "why"), [(2.5, 100, "not faster"), (1.0, -1000, "IoU")])
def test_it_is_left_out_with_its_reason_where_it_does_not_pay(made, precision, ms, max_drop, why):
    bundle = made(precision, ms, max_drop)
    card = read_card(bundle)
    assert why in card.left_out[FORMATS[precision]] and why in (bundle / "CARD.md").read_text()
    assert card.fastest == ("native f32", "openvino f32")
    assert not (bundle / MODELS["native"][precision][0]).exists()
    with pytest.raises(OptionError, match=why):
        Engine(bundle, engine="native", precision=precision)


@each
@pytest.mark.parametrize(("built", "wanted"), [(("f32",), ("native", "f32")), ((), ("openvino", "f32"))])
@pytest.mark.parametrize("asked", [(), ("precision",), ("engine",), ("engine", "precision")])
def test_where_it_cannot_run_the_next_one_answers(made, monkeypatch, precision, built, wanted, asked):
    bundle, whole = made(precision), native.library
    monkeypatch.setattr(native, "library", lambda precision="f32": whole(precision) if precision in built else None)
    words = {"precision": precision, "engine": "native"}
    found = Engine(bundle, **{name: words[name] for name in asked})
    assert (found.name, found.precision) == wanted
    assert bool(found.note) == ("engine" in asked and not built)
    assert found.probs(frames(1)[0]).shape == (64, 64, 1)


@pytest.mark.skipif(native.library("int8") is None, reason="this processor has no VNNI, or no kernel is built")
def test_int8_of_both_engines_stand_beside_each_other(made, monkeypatch):
    monkeypatch.setattr(deployable, "int8_graph", lambda one, card, *_: convert(one, card))  # nncf takes half a minute
    monkeypatch.setitem(deployable.NEEDS, "int8", ())
    bundle = made("int8", formats=("openvino", "native", "int8", "native-int8"))
    card = read_card(bundle)
    assert card.fastest[0] == "native int8" and card.left_out.keys() == {"int8"}  # OpenVINO's is not faster than 3 ms
    with pytest.raises(OptionError, match="not faster"):
        Engine(bundle, engine="openvino", precision="int8")
    assert Engine(bundle, precision="int8").name == "native"


@each
def test_a_kernel_that_is_missing_is_an_error_where_it_is_opened(monkeypatch, precision):
    monkeypatch.setattr(native, "library", lambda precision: None)
    with pytest.raises(ModelError, match=precision):
        answers(32, 32, precision=precision)


@each
def test_a_bundle_that_recommends_what_nobody_knows_takes_openvino(made, precision):
    bundle = made(precision)
    card = read_card(bundle)
    for strange in (("warp f32",), ("native f8",), ("native",), ("",), ()):
        changed = Card(**{**card.to_dict(), "class_names": card.class_names, "fastest": strange})
        assert engine._which(changed, None, None, None) == ("openvino", "")


@each
def test_it_needs_float32_to_be_held_against(made, precision):
    with pytest.raises(OptionError, match="add native"):
        made(precision, formats=("openvino", FORMATS[precision]))
