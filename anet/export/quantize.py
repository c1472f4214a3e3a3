"""int8 by nncf: weights and activations of the convolutions as 8-bit numbers, ranges from pictures."""

import logging
import warnings
from collections.abc import Sequence

import numpy as np

from anet.runtime.engine import ov

SUBSET = 300  # pictures that the ranges are taken from, at most


def quantize(model: ov.Model, frames: Sequence[np.ndarray]) -> ov.Model:
    """Give a copy of `model` in int8, with ranges from `frames`, each `(h, w, 3) uint8`.

    Ranges by HISTOGRAM: those of the default (minima and maxima) cost a trained A-Net four points of IoU.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nncf imports torch's deprecated parts
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        nncf.set_log_level(logging.ERROR)
        ranges = RangeEstimatorParametersSet.HISTOGRAM
        advanced = AdvancedQuantizationParameters(activations_range_estimator_params=ranges)
        data = nncf.Dataset(list(frames[:SUBSET]), lambda frame: frame[None])
        return nncf.quantize(model, data, subset_size=min(len(frames), SUBSET), advanced_parameters=advanced)
