"""A torch network as a plain function of pictures, for the one scoring path."""

import numpy as np
import torch
from torch import nn

from anet.frame import Frame, decide
from anet.nets.deployable import Deployable
from anet.training.checkpoint import Facts


class Predictor:
    """Map pictures `(H, W, 3) uint8` to probabilities and masks of their own size, with the network as it is now."""

    def __init__(self, network: nn.Module, facts: Facts, device: torch.device | str = "cpu"):
        self.model = Deployable(network, facts.mean, facts.std).to(device)
        self.frame, self.facts, self.device = Frame(facts.size), facts, device

    def probs(self, image: np.ndarray) -> np.ndarray:
        """Give `(H, W, channels) float32` probabilities."""
        return self.frame.back(self.answer(self.frame.image(image)), *image.shape[:2])

    @torch.inference_mode()
    def answer(self, framed: np.ndarray) -> np.ndarray:
        """Give the probabilities of a picture in the frame, `(h, w, 3) uint8`, as `(h, w, channels) float32`."""
        was_training = self.model.network.training
        self.model.network.eval()
        found = self.model(torch.from_numpy(framed)[None].to(self.device))[0].float().cpu().numpy()
        self.model.network.train(was_training)
        return found

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Give the `(H, W) uint8` mask at the model's threshold."""
        return decide(self.probs(image), self.facts.threshold)
