"""Interleaved rounds: A B C, A B C, ... in one process, so that whatever else the machine does meets all alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """The middle of some measurements, and between what 90 % of them lie."""

    median: float
    low: float  # 5 % are smaller
    high: float  # 5 % are larger

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Take one or more values."""
        low, middle, high = np.percentile(values, [5, 50, 95])
        return cls(float(middle), float(low), float(high))

    def to_dict(self) -> dict[str, float]:
        """Give plain values of four digits: more of them are noise."""
        return {key: float(f"{value:.4g}") for key, value in asdict(self).items()}


def interleaved(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every turn once to warm up, then `rounds` times in the order given; give what each returned."""
    for turn in turns.values():
        turn()
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            found[name].append(turn())
    return found


def ratios(reference: Sequence[float], own: Sequence[float]) -> Spread:
    """Give how many times faster `own` is than `reference`, from the times of the same rounds."""
    return Spread.of([one / other for one, other in zip(reference, own, strict=True)])


def ms(call: Callable[[], object]) -> float:
    """Give the milliseconds that a call takes."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def calls_within(took_ms: float, turn_ms: float, least: int = 3, most: int = 200) -> int:
    """Give how many calls of `took_ms` fill a turn of `turn_ms`."""
    return int(min(most, max(least, turn_ms / max(took_ms, 1e-3))))
