"""From the clean network to the printed figure: which counting artefacts lie between the two."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from anet.nets.complexity import Complexity, count

Share = Callable[[Complexity], int]
Counter = Callable[..., Complexity]  # as `anet.nets.complexity.count`


def nothing(cost: Complexity) -> int:
    return 0


@dataclass(frozen=True)
class Artefact:
    """One way in which a printed figure departs from the network's own count, in the paper's units (1, not M or G)."""

    what: str  # in plain words, a line
    params: Share = nothing  # what it adds to the parameters, from the clean network's cost
    count: Share = nothing  # what it adds to the paper's count


def layers_under(prefix: str) -> Share:
    """Give the paper's count of all layers below `prefix`: what a second name for that module adds."""
    return lambda cost: sum(layer.as_paper for layer in cost.layers if (layer.name + ".").startswith(prefix + "."))


def layers_of_type(*types: str) -> Share:
    """Give the paper's count of all layers of these types (negate it for what the counter did not know)."""
    return lambda cost: sum(layer.as_paper for layer in cost.layers if layer.type in types)


def minus(share: Share) -> Share:
    return lambda cost: -share(cost)


def params_of(*makers: Callable[[], nn.Module]) -> Share:
    """Give the parameters of modules that were built and never executed."""
    return lambda cost: sum(p.numel() for make in makers for p in make().parameters())


def params_in_place_of(make: Callable[[], nn.Module]) -> Share:
    """Give what is added where another build's parameters were printed in place of this one's."""
    return lambda cost: sum(p.numel() for p in make().parameters()) - cost.params_as_paper


def params_under(prefix: str) -> Share:
    """Give the parameters of all layers below `prefix` (negate them for what was frozen: the counter left it out)."""
    return lambda cost: sum(layer.params for layer in cost.layers if (layer.name + ".").startswith(prefix + "."))


def count_of(make: Callable[[], nn.Module], channels: int, scale: int, counter: Counter = count) -> Share:
    """Give the paper's count of a module that was executed on `channels` maps at 1/`scale` of the picture's size."""
    return lambda cost: counter(make(), cost.h // scale, cost.w // scale, channels).as_paper


@dataclass(frozen=True)
class Printed:
    """A network's printed columns of Tables IV to VII, and the way to them from the clean network.

    `verdict` is "exact" (every printed digit at both sizes), "near" (within 1 %) or "nearest" (the nearest known
    reading; the deviation is printed). `make` builds the clean network for a picture of this size; where
    that is not the one that is trained at every size, `trained` is. `counter` gives the paper's count as `counted_as`
    does: LSA-Net's is another one.
    """

    name: str
    params_m: float  # "Parameters", M
    flops_g: dict[int, float]  # "FLOPs" by side of the input, G
    make: Callable[[int], nn.Module]
    artefacts: tuple[Artefact, ...] = ()
    verdict: str = "exact"
    counter: Counter = count
    counted_as: str = "ptflops 0.7.0"
    trained: Callable[[], nn.Module] | None = None

    def clean(self, size: int) -> Complexity:
        """Count the network as it is written here."""
        return self.counter(self.make(size), size, size)

    def true(self, cost: Complexity) -> Complexity:
        """Count the network that is trained; `cost` is the clean one's, which nearly always is the same."""
        return self.counter(self.trained(), cost.h, cost.w) if self.trained else cost

    def reconciled(self, cost: Complexity) -> tuple[int, int]:
        """Give parameters and count with all artefacts, from the clean network's cost."""
        params = cost.params_as_paper + sum(each.params(cost) for each in self.artefacts)
        return params, cost.as_paper + sum(each.count(cost) for each in self.artefacts)
