"""Each network learns with the one loop and recipe, and fits a small machine. Slow: an hour or more on one core."""

import io
import shutil
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from anet.data import load, split
from anet.data.synthetic import synthesize
from anet.nets import build
from anet.nets.zoo import ZOO
from anet.scoring.evaluate import evaluate
from anet.training.checkpoint import load_model
from anet.training.losses import segmentation_loss
from anet.training.predictor import Predictor
from anet.training.train import Options, train

pytestmark = pytest.mark.slow
SIZE, EPOCHS, COPIES = 64, 20, 6
NAMES = ("anet", *ZOO)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight synthetic pictures to train with, each with a defect, and under several names.

    An epoch is longer so: after each one the whole state is saved, 2 GB for RefineNet.
    """
    folder = synthesize(tmp_path_factory.mktemp("data") / "set", 14, 128, 0, sound=0.0)
    for path in [*folder.glob("images/train/*.png"), *folder.glob("masks/train/*.png")]:
        for copy in range(1, COPIES):
            shutil.copy(path, path.with_name(f"{path.stem}-{copy}.png"))
    return folder


def mean_loss(network, facts, samples, classes):
    """Give eq. (6) over whole pictures, in eval mode."""
    predictor = Predictor(network, facts)
    losses = []
    with torch.no_grad():
        for sample in samples:
            image, mask = sample.read(classes)
            frame = torch.from_numpy(predictor.frame.image(image))[None]
            x = predictor.model.normalise(predictor.model.unit(frame))
            target = torch.from_numpy(predictor.frame.mask(mask))[None]
            losses.append(float(segmentation_loss(network.eval()(x), target)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("name", NAMES)
def test_each_network_learns(name, data, tmp_path):
    """With recipe `strong` as it is, its loss halves and its IoU passes 0.5 on the pictures that it is shown."""
    options = Options(data, network=name, epochs=EPOCHS, batch=4, size=SIZE, runs=tmp_path, name="run", compiled=False)
    folder = train(options, Console(file=io.StringIO()))
    network, facts = load_model(folder / "last.safetensors")
    dataset = load(data)
    shown = split(dataset).train
    assert len(shown) == 8 * COPIES
    torch.manual_seed(0)
    fresh = mean_loss(build(name, 1), facts, shown, dataset.classes)
    learned = mean_loss(network, facts, shown, dataset.classes)
    iou = evaluate(Predictor(network, facts), shown, dataset.classes).scores.miou
    print(f"{name}: loss {fresh:.3f} -> {learned:.3f}, IoU {iou:.3f}")
    assert learned < fresh / 2
    assert iou > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_forward_at_512_fits_a_machine_of_8_gb(name):
    """Peak memory of a process of its own, in which nothing else happened."""
    code = (
        "import resource, torch\n"
        "from anet.nets import build\n"
        f"network = build({name!r}, 1).eval()\n"
        "with torch.inference_mode():\n"
        "    assert network(torch.zeros(1, 3, 512, 512)).shape == (1, 1, 512, 512)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout) * 1024
    print(f"{name}: {peak / 2**30:.2f} GiB")
    assert peak < 6 * 2**30  # 2 GB are the system's
