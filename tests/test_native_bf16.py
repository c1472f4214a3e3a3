"""The compiled kernel in bfloat16: close to torch, behind the export's gate, another one answers where it cannot."""

import numpy as np
import pytest

from anet.errors import ModelError, OptionError
from anet.export import deployable
from anet.export.deployable import export_bundle
from anet.export.native import native_weights
from anet.provenance import machine
from anet.runtime import engine
from anet.runtime.card import Card, read_card
from anet.runtime.engine import Engine
from anet.runtime.engines import native
from anet.runtime.engines.native import HEADS, Native, read_weights
from tests.test_engines import Bright
from tests.test_export import MEAN, STD, facts, frames, network
from tests.test_native import picture, torch_answer

pytestmark = pytest.mark.skipif(
    native.library("bf16") is None, reason="this processor has no AVX512_BF16, or the kernel is not built for it"
)


def answers(h: int, w: int, classes: int = 2, threads: int = 1, precision: str = "bf16") -> Native:
    content = native_weights(network(classes).eval(), MEAN, STD, precision)
    card = Card(**facts(classes, h=h, w=w), channels=1 if classes == 2 else classes)
    assert content is not None
    return Native(card, [content], threads, 0, "a bundle")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Give a function that exports A-Net where bfloat16 takes `ms` and float32 2 ms natively, 3 ms by OpenVINO."""

    def export(ms: float = 1.0, max_drop: float = 100, formats: tuple[str, ...] = ("openvino", "native", "bf16")):
        took = {"native bf16": ms, "native f32": 2.0}
        timed = {name: {"median_ms": took.get(name, 3.0), "p95_ms": 9.0} for name in (*took, "openvino f32")}
        monkeypatch.setattr(deployable, "speed", lambda engines, frame: {"machine": machine(), **timed})
        return export_bundle(network(), facts(), tmp_path / "b", [Bright("a")], formats, max_drop=max_drop)

    return export


@pytest.mark.parametrize(("h", "w", "classes"), [(64, 96, 2), (224, 224, 2), (32, 352, 2), (96, 64, 4)])
def test_it_answers_almost_as_torch_does(h, w, classes):
    image = picture(h, w)
    found, wanted = answers(h, w, classes).run(image), torch_answer(image, classes)
    assert np.abs(found - wanted).max() <= 2e-2 and wanted.std() > 0.05
    if classes == 2:
        assert ((found > 0.5) == (wanted > 0.5)).mean() >= 0.99
    exact = answers(h, w, classes, precision="f32").run(image)
    assert np.abs(found - exact).max() > 1e-5  # or it was not rounded at all


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads):
    image = picture(96, 64)
    alone, together = answers(96, 64), answers(96, 64, threads=threads)
    for _ in range(3):
        assert np.array_equal(together.run(image), alone.run(image))


@pytest.mark.parametrize("wrong", [1e30, -1e30])
def test_an_answer_that_overflows_is_nan_or_infinite_and_never_a_probability(wrong):
    overflowing = answers(32, 32)
    overflowing.idle.clear()
    overflowing.weights = overflowing.weights.copy()
    overflowing.weights[::7] *= wrong
    assert not np.isfinite(overflowing.run(picture(32, 32))).all()


def test_both_precisions_hold_the_same_numbers():
    one, other = (native_weights(network().eval(), MEAN, STD, precision) for precision in ("f32", "bf16"))
    assert one != other and one[16:] == other[16:] and len(set(map(len, HEADS.values()))) == 1
    assert np.array_equal(read_weights(one, "it"), read_weights(other, "it"))


def test_it_answers_where_nothing_is_asked_for_when_it_is_the_fastest(made):
    bundle = made()
    card = read_card(bundle)
    assert card.fastest == ("native bf16", "native f32", "openvino f32") and not card.left_out
    chosen, asked = Engine(bundle), Engine(bundle, precision="bf16")
    assert (chosen.name, chosen.precision, chosen.note) == (asked.name, asked.precision, "") == ("native", "bf16", "")
    frame = frames(1)[0]
    assert np.array_equal(chosen.probs(frame), asked.probs(frame))
    assert Engine(bundle, precision="f32").name == Engine(bundle, engine="openvino").name == "openvino"
    assert Engine(bundle, engine="native", precision="f32").precision == "f32"


@pytest.mark.parametrize(("ms", "max_drop", "why"), [(2.5, 100, "not faster"), (1.0, -1000, "IoU")])
def test_it_is_left_out_with_its_reason_where_it_does_not_pay(made, ms, max_drop, why):
    bundle = made(ms, max_drop)
    card = read_card(bundle)
    assert why in card.left_out["bf16"] and why in (bundle / "CARD.md").read_text()
    assert card.fastest == ("native f32", "openvino f32") and not (bundle / "model-bf16.native").exists()
    with pytest.raises(OptionError, match=why):
        Engine(bundle, engine="native", precision="bf16")


@pytest.mark.parametrize(("built", "wanted"), [(("f32",), ("native", "f32")), ((), ("openvino", "f32"))])
@pytest.mark.parametrize(
    "asked", [{}, {"precision": "bf16"}, {"engine": "native"}, {"engine": "native", "precision": "bf16"}]
)
def test_where_it_cannot_run_the_next_one_answers(made, monkeypatch, built, wanted, asked):
    bundle, whole = made(), native.library
    monkeypatch.setattr(native, "library", lambda precision="f32": whole(precision) if precision in built else None)
    found = Engine(bundle, **asked)
    assert (found.name, found.precision) == wanted
    assert bool(found.note) == (asked.get("engine") == "native" and not built)
    assert found.probs(frames(1)[0]).shape == (64, 64, 1)


def test_a_kernel_that_is_missing_is_an_error_where_it_is_opened(monkeypatch):
    monkeypatch.setattr(native, "library", lambda precision: None)
    with pytest.raises(ModelError, match="bf16"):
        answers(32, 32)


def test_a_bundle_that_recommends_what_nobody_knows_takes_openvino(made):
    bundle = made()
    card = read_card(bundle)
    for strange in (("warp f32",), ("native f8",), ("native",), ("",), ()):
        changed = Card(**{**card.to_dict(), "class_names": card.class_names, "fastest": strange})
        assert engine._which(changed, None, None, None) == ("openvino", "")


def test_it_needs_float32_to_be_held_against(made):
    with pytest.raises(OptionError, match="add native"):
        made(formats=("openvino", "bf16"))
