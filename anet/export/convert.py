"""The same network as an OpenVINO graph and as ONNX, pre- and post-processing and what Model API needs inside."""

import io
import json
import warnings

import torch
from torch import Tensor, nn

from anet.nets.deployable import Deployable
from anet.runtime.card import Card
from anet.runtime.engines.compiled import ov
from anet.runtime.model_api import model_info

NAMES = ("feature_vector", "segmentation")  # of the outputs; Model API allows no other name beside segmentation's
OPSET = 18


class Answers(nn.Module):
    """Add a second answer to a `Deployable`, as the Segmentation wrapper of OpenVINO's Model API reads it.

    `(N, ids, h, w) float32`, channels first: a pixel's probability of being a defect, in the channel of its likeliest
    class, 0 elsewhere. What is below `soft_threshold` is set to 0 and the largest channel is the class, so that its
    mask is the same as `anet.frame.decide`'s, bit for bit. The engine here leaves it out.
    """

    def __init__(self, deployable: Deployable):
        super().__init__()
        self.deployable = deployable

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        probs = self.deployable(frames)
        planes = probs.permute(0, 3, 1, 2)  # (N, channels, h, w)
        if planes.shape[1] == 1:
            return probs, torch.cat([torch.zeros_like(planes), planes], 1)  # (N, 2, h, w)
        best = planes[:, 1:].argmax(1, keepdim=True)
        ids = torch.arange(planes.shape[1] - 1).view(1, -1, 1, 1)
        defect = torch.where(best == ids, 1 - planes[:, :1], 0.0)
        return probs, torch.cat([torch.zeros_like(planes[:, :1]), defect], 1)  # (N, ids, h, w)


def convert(deployable: Deployable, card: Card, fold: bool = True) -> ov.Model:
    """Convert to an OpenVINO graph of batch 1, with the card's main facts under `anet` and `model_info` in its rt_info.

    Without `fold`, norms stay apart and every weight keeps its name, so that `weights_of` reads them back; OpenVINO
    folds them whenever it loads the graph.
    By TorchScript: `torch.export` takes PReLU apart into compare, multiply and select (1.6 times the run time).
    """
    shape = (-1, -1) if card.dynamic else (card.h, card.w)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated in torch 2.13, and warns of each shape check
        if fold:
            model = ov.convert_model(Answers(deployable), example_input=_example(card), input=[1, *shape, 3])
        else:
            model = _unfolded(Answers(deployable), _example(card), ov.PartialShape([1, *shape, 3]))
    model.inputs[0].get_tensor().set_names({"image"})
    model.get_parameters()[0].set_layout(ov.Layout("NHWC"))
    for output, names in zip(model.outputs, ({"probs", NAMES[0]}, {NAMES[1]}), strict=True):
        output.get_tensor().set_names(names)
    for key, value in anet_info(card).items():
        model.set_rt_info(value, ["anet", key])
    for key, value in model_info(card).items():
        model.set_rt_info(value, ["model_info", key])
    return model


def _unfolded(answers: Answers, example: Tensor, shape: ov.PartialShape) -> ov.Model:
    """Convert by the frontend alone, without what `convert_model` does to the graph afterwards."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(answers, example_input=example)  # held by name: OpenVINO does not hold it
    model = frontend.convert(frontend.load(decoder))
    model.get_parameters()[0].set_element_type(ov.Type.u8)
    model.reshape(shape)
    return model


def to_onnx(deployable: Deployable, card: Card) -> bytes:
    """Convert to ONNX, opset 18, everything in one file; the facts are metadata. The first output is `probs`' values.

    By TorchScript, too: the newer way takes ten times as long and needs two more packages, for the same operations.
    """
    import onnx

    written = io.BytesIO()
    free = {1: "h", 2: "w"} if card.dynamic else {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Answers(deployable).eval(), (_example(card),),
            written,  # pyright: ignore[reportArgumentType]  only `dynamo` wants a path
            dynamo=False, opset_version=OPSET,
            input_names=["image"], output_names=list(NAMES),
            dynamic_axes={"image": free, NAMES[0]: free, NAMES[1]: {2: "h", 3: "w"}} if free else None,
        )  # fmt: skip
    model = onnx.load_from_string(written.getvalue())
    model.graph.output[0].doc_string = "probabilities (1, h, w, channels); Model API allows no other name"
    facts = {f"anet {key}": value for key, value in anet_info(card).items()}
    facts |= {f"model_info {key}": value for key, value in model_info(card).items()}
    onnx.helper.set_model_props(model, facts)
    return model.SerializeToString()


def anet_info(card: Card) -> dict[str, str]:
    """Give what a reader of a lone model file needs."""
    return {
        "network": card.network,
        "class_names": json.dumps(card.class_names),
        "input": "1,h,w,3 uint8 RGB, the picture from the top left, grey around it",
        "output": "1,h,w,channels float32 probabilities",
    }


def _example(card: Card) -> Tensor:
    return torch.zeros(1, card.h or card.train_px, card.w or card.train_px, 3, dtype=torch.uint8)
