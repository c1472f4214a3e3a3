"""A picture lit as none of the training was: a network's answer is worth nothing, and a dead lamp is no good part.

Measured on magnetic tiles: at a third of their light most defective ones are found good, and a black picture always is.
"""

from anet.runtime.verdicts.rules import Reason

RULE = "light as in no training picture"


def odd_light(trained: tuple[float, float] | None, mean_grey: float | None) -> Reason | None:
    """Give a reason to warn where a picture's mean grey (0..255) is far outside that of all training pictures.

    `trained` is the lowest and the highest of those. Far is less than half as bright as the darkest, or less than half
    as far from white as the brightest: a lamp that fails, a lens cap, a camera that was never set; no cloudy day.
    """
    if trained is None or mean_grey is None:
        return None
    least, most = trained[0] / 2, 255 - (255 - trained[1]) / 2
    if least <= mean_grey <= most:
        return None
    dark = mean_grey < least
    limit, allowed, than = ("min_mean_grey", least, "below") if dark else ("max_mean_grey", most, "above")
    text = (
        f"{RULE}: mean grey {mean_grey:.1f} is {than} {allowed:.1f} (those of the training have {trained[0]:.1f} to "
        f"{trained[1]:.1f}); lamp, exposure, lens cap?"
    )
    return Reason("warn", RULE, limit, round(allowed, 2), round(mean_grey, 2), (), text)
