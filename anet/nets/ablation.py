"""The six rows of Table III as edits of TABLE_II, and one fair row that the paper lacks.

What the paper means by "without" was found by counting; with this reading all six rows come out to every printed digit:
without Light (Wide), each of the 11 blocks becomes one bare 3x3 (5x5) convolution with bias and nothing else: no
normalisation, no activation, no residual. Without jump, a Light block stands where the Cat block was. Without Seg head,
one transposed 2x2 convolution of stride 2 and without bias, 32 channels to the classes, makes the logits.

So the paper's plain rows stack linear convolutions between its Down and Up blocks, and part of what its blocks seem to
gain is normalisation and activation. `anet-plain` tells the two apart: it is `anet-none`, also without jump and head,
whose 22 convolutions are each without bias and followed by BatchNorm and PReLU. Print it beside Table III.
"""

from anet.errors import OptionError
from anet.nets.anet import TABLE_II


def ablate(light: bool = True, wide: bool = True, jump: bool = True, head: bool = True, plain: str = "conv") -> tuple:
    """Give Table II's rows with parts left out; `ANet(classes, rows)` builds them. Everything left in: TABLE_II itself.

    `plain` says what stands in for Light and Wide: "conv", the paper's bare convolution, or "plain", the fair one with
    BatchNorm and PReLU. Names of rows are kept, but the Light block without a jump is `light8`, no longer `cat`.
    Raises OptionError for a jump without Light blocks: the Cat block contains one, and the paper has no such row.
    """
    if jump and not light:
        raise OptionError("a jump needs Light blocks, the Cat block contains one: leave the jump out too")
    rows = []
    for op, ci, cm, co, name in TABLE_II:
        if op == "cat" and not jump:
            op, name = "light", "light8"
        if op == "light" and not light:
            op = f"{plain}3"
        if op == "wide" and not wide:
            op = f"{plain}5"
        if op == "head" and not head:
            op = "deconv"
        rows.append((op, ci, cm, co, name))
    return tuple(rows)


ABLATIONS = {
    "anet-none": ablate(light=False, wide=False, jump=False, head=False),
    "anet-light": ablate(wide=False, jump=False, head=False),
    "anet-wide": ablate(light=False, jump=False, head=False),
    "anet-light-wide": ablate(jump=False, head=False),
    "anet-jump": ablate(head=False),
    "anet": ablate(),
    "anet-plain": ablate(light=False, wide=False, jump=False, head=False, plain="plain"),  # not in the paper
}
