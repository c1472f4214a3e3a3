"""An exported model is the trained one, or there is no export."""

import atexit
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anet.errors import ModelError, OptionError, OutputError
from anet.export import deployable, parity
from anet.export.convert import convert
from anet.export.deployable import export_bundle
from anet.export.parity import why_no_half
from anet.nets import ANet
from anet.nets.deployable import Deployable
from anet.runtime.card import Card, check_bundle, read_bundle
from anet.runtime.engine import Engine
from anet.runtime.engines.compiled import ov

SIZE = 64
MEAN, STD = (0.45, 0.4, 0.35), (0.2, 0.25, 0.3)


def lively(network: nn.Module) -> nn.Module:
    """Give every weight a value that matters, as after training: fresh BatchNorm and PReLU would hide mistakes."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
        if isinstance(module, nn.PReLU):
            module.weight.data.uniform_(0.05, 0.5)
    head = [one for one in network.modules() if isinstance(one, nn.Conv2d)][-1]
    head.weight.data *= 40  # probabilities on both sides of the threshold
    head.bias.data.zero_()
    return network


def facts(classes: int = 2, **changed) -> dict:
    names = ("background", "inclusion", "big scratch", "patch")[:classes]
    plain = dict(network="anet", class_names=names, h=SIZE, w=SIZE, mean=MEAN, std=STD, threshold=0.5, min_area_px=0)
    return plain | {"provenance": {"data": "random", "seed": 0}} | changed


def frames(count: int = 4, size: int = SIZE) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8))


@functools.cache
def network(classes: int = 2) -> nn.Module:
    torch.manual_seed(1)
    return lively(ANet(1 if classes == 2 else classes))


@functools.cache
def exported(classes: int = 2) -> Path:
    """Give a bundle of a random network, made once a run; tests that change files copy it."""
    folder = Path(tempfile.mkdtemp(prefix="anet-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return export_bundle(network(classes), facts(classes), folder / "model", frames())


class Tiny(nn.Module):
    """A network of one layer: what does not test A-Net need not pay for it."""

    def __init__(self, channels: int = 1):
        super().__init__()
        self.layer = nn.Conv2d(3, channels, 3, padding=1)

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_bundle_answers_as_torch_does(classes):
    engine = Engine(exported(classes), threads=1)
    judge = Deployable(network(classes), MEAN, STD).eval()
    for frame in frames(6)[4:]:
        with torch.no_grad():
            wanted = judge(torch.from_numpy(frame)[None])[0].numpy()
        probs = engine.probs(frame)
        assert probs.shape == wanted.shape == (SIZE, SIZE, 1 if classes == 2 else classes)
        assert probs.dtype == np.float32 and np.ptp(probs) > 0.1
        assert np.abs(probs - wanted).max() <= 1e-5


def test_the_card_says_what_the_model_is():
    card, xml, weights = read_bundle(exported(4))
    assert card.class_names == ("background", "inclusion", "big scratch", "patch") and card.channels == 4
    assert (card.h, card.mean, card.std, card.threshold) == (SIZE, MEAN, STD, 0.5)
    assert card.provenance == {"data": "random", "seed": 0}
    figures = card.parity["openvino f32"]
    assert card.parity["pictures"] == 4 and 0 < figures["max_difference"] < 1e-5 and figures["equal_share"] >= 0.9999
    assert len(card.id) == 12 and json.loads((exported(4) / "card.json").read_bytes())["sha256"].startswith(card.id)
    parameters = sum(one.numel() for one in network(4).parameters())
    assert len(weights) >= 4 * (parameters - 10_000)  # float32: half precision would be half of it
    assert xml.startswith(b"<?xml")


def test_prelu_and_transposed_convolution_stay_what_they_are():
    """PReLU as one operation is 1.6 times as fast as taken apart; all weights of BatchNorm go into the convolutions."""
    model = ov.Core().read_model(exported(2) / "model.xml")
    kinds = [one.get_type_name() for one in model.get_ordered_ops()]
    assert kinds.count("PRelu") == sum(isinstance(one, nn.PReLU) for one in network(2).modules())
    assert kinds.count("ConvolutionBackpropData") == 5  # four Up blocks and the head
    assert not {"BatchNormInference", "Select", "Greater"} & set(kinds)


def test_the_graph_says_what_it_is():
    model = ov.Core().read_model(exported(4) / "model.xml")
    assert json.loads(model.get_rt_info(["anet", "class_names"]).astype(str)) == list(facts(4)["class_names"])
    assert model.get_rt_info(["anet", "network"]).astype(str) == "anet"
    assert model.get_rt_info(["model_info", "labels"]).astype(str) == "inclusion big_scratch patch"
    assert np.float32(model.get_rt_info(["model_info", "soft_threshold"]).astype(str)) == np.nextafter(
        np.float32(0.5), 1
    )


def test_exporting_leaves_the_network_as_it_was():
    tiny = Tiny().train()
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    convert(Deployable(tiny, MEAN, STD).eval(), Card(**facts(), channels=1))
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())


def test_a_network_in_training_mode_stays_in_it(tmp_path):
    tiny = Tiny().train()
    export_bundle(tiny, facts(), tmp_path / "model", frames(1))
    assert tiny.training and [one.name for one in tmp_path.iterdir()] == ["model"]


def test_an_older_bundle_is_replaced_by_the_new_one(tmp_path):
    first = export_bundle(Tiny(), facts(), tmp_path / "model", frames(1))
    old = read_bundle(first)[0].id
    second = export_bundle(Tiny(), facts(threshold=0.25), tmp_path / "model", frames(1))
    assert second == first and read_bundle(second)[0].id != old and read_bundle(second)[0].threshold == 0.25
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["file", "folder", "bundle with notes", "graph without card", "dangling link"])
def test_what_is_no_bundle_is_never_replaced(tmp_path, kind):
    out = tmp_path / "precious"
    if kind == "file":
        out.write_text("keep")
    elif kind != "dangling link":
        out.mkdir()
        for name in {"bundle with notes": ("card.json", "notes"), "graph without card": ("model.xml",)}.get(
            kind, ("a",)
        ):
            (out / name).write_text("keep")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="not replaced"):
        export_bundle(Tiny(), facts(), out, frames(1))
    assert [one.name for one in tmp_path.iterdir()] == ["precious"]
    assert all(path.read_text() == "keep" for path in out.glob("*"))


def test_a_difference_to_torch_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differs from torch"):
        export_bundle(Tiny(), facts(), tmp_path / "model", frames(1))
    assert list(tmp_path.iterdir()) == []


def test_a_really_different_graph_is_found_out(tmp_path, monkeypatch):
    other = Deployable(Tiny(), MEAN, STD).eval()
    monkeypatch.setattr(deployable, "convert", lambda _, card: convert(other, card))
    with pytest.raises(ModelError, match="differs from torch"):
        export_bundle(Tiny(), facts(), tmp_path / "model", frames(1))
    assert list(tmp_path.iterdir()) == []


class Steep(nn.Module):
    """A sound network in float32, whose weights half precision cannot hold: some of a layer are huge, some tiny."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 1, 1)
        with torch.no_grad():
            self.one.weight[:4] *= 1e-9
            self.one.bias[:4] *= 1e-9
            self.two.weight[:, :4] *= 1e9

    def forward(self, x):
        return self.two(self.one(x))


def test_weights_that_half_precision_spoils_are_left_out_or_refused(tmp_path):
    torch.manual_seed(0)
    steep = Steep().eval()
    for formats in (("f16",), ("whole",)):
        with pytest.raises(ModelError, match=r"half precision changes the answers: .* of pixels are equal"):
            export_bundle(steep, facts(), tmp_path / "model", frames(2), formats)
    assert not list(tmp_path.iterdir())
    bundle = export_bundle(steep, facts(), tmp_path / "model", frames(2), ("openvino", "f16"))
    card = check_bundle(bundle)
    assert "of pixels are equal" in card.left_out["f16"] and not list(bundle.glob("*f16*"))
    assert "of pixels are equal" in (bundle / "CARD.md").read_text()


@pytest.mark.parametrize(("after", "share", "says"), [
    (0.698, 0.9999, None), (0.696, 1.0, "IoU falls from 70.00 to 69.60"), (0.71, 0.99, "99.00% of pixels"),
    (None, 0.99, "99.00% of pixels"), (None, 0.9995, None),
])  # fmt: skip
def test_half_precision_is_judged_by_iou_and_by_pixels(after, share, says):
    figures = {"torch": {"iou": None if after is None else 0.7}, "half": {"iou": after, "equal_share": share}}
    reason = why_no_half(figures, "half", 0.3)
    assert reason is None if says is None else reason is not None and says in reason


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_with_weights_that_are_not_finite_is_not_exported(tmp_path, value):
    tiny = Tiny()
    tiny.layer.weight.data[0, 0, 0, 0] = value
    with pytest.raises(ModelError, match="NaN or infinite"):
        export_bundle(tiny, facts(), tmp_path / "model", frames(1))
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_overflows_is_not_exported(tmp_path):
    tiny = Tiny(3)
    tiny.layer.weight.data.fill_(3e38)
    with pytest.raises(ModelError, match="NaN or infinity"):
        export_bundle(tiny, facts(3), tmp_path / "model", frames(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"class_names": ("background",)}, "class_names"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": 1.0}, "threshold"),
        ({"min_area_px": -1}, "min_area_px"),
        ({"std": (0.2, 0.0, 0.2)}, "std"),
        ({"h": 65}, "multiple of 32"),
    ],
)
def test_facts_that_make_no_sense_are_refused(tmp_path, changed, says):
    with pytest.raises((ModelError, OptionError), match=says):
        export_bundle(Tiny(), facts(**changed), tmp_path / "model", frames(1))


def test_export_without_pictures_to_compare_is_refused(tmp_path):
    with pytest.raises(OptionError, match="none was given"):
        export_bundle(Tiny(), facts(), tmp_path / "model", [])


def test_files_are_flushed_before_and_the_folder_after_the_rename(tmp_path, monkeypatch):
    seen = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(
        os, "fsync", lambda handle: (seen.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(Path, "rename", lambda path, to: (seen.append("rename"), rename(path, to))[1])
    export_bundle(Tiny(), facts(), tmp_path / "model", frames(1))
    names = [Path(one).name for one in seen if one == "rename" or Path(one).is_relative_to(tmp_path)]
    assert sorted(names[:4]) == ["CARD.md", "card.json", "model.bin", "model.xml"]
    assert names[4:] == ["made", "rename", tmp_path.name]
