"""A few labelled pictures: what a user has at first, when they are too few, and how a score grows with their number."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from anet.data.dataset import Dataset, Sample, Split
from anet.data.splitting import VAL_SHARE, split
from anet.errors import DataError

LEAST = 3  # of them one validates
DEFECTS = 5  # pictures with a defect, below which a part is worth a warning


def lacking(defects: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Give the number, and a sentence, of each part (part -> pictures with a defect) that has too few of them."""
    for part, number in sorted(defects.items()):
        if number < DEFECTS:
            yield number, f"{number} pictures of {part} show a defect: {DEFECTS} are the least"


def parts_as(dataset: Dataset, own: Mapping[str, Any], seed: int) -> Split:
    """Give the parts of a training by what its provenance says of its `split`, and its `seed`; nothing: the usual ones.

    They hold no more labels than the training had. Raises DataError.
    """
    return fewer(split(dataset, own.get("protocol"), own.get("seed", 0)), own.get("pictures"), seed)


def fewer(parts: Split, pictures: int | None, seed: int) -> Split:
    """Keep `pictures` of train and val together, 15 % of them to validate; test stays whole. None keeps all.

    All that is labelled counts: the threshold and the best epoch come from those that validate. Classes and sound
    pictures come in proportion, drawn with `seed`; 10 pictures are among the 20 of the same seed. Raises DataError.
    """
    if pictures is None:
        return parts
    most = len(parts.train) + len(parts.val)
    if not LEAST <= pictures <= most:
        raise DataError(f"{pictures} labelled pictures: {LEAST} to {most}, what train and val hold, would work")
    held = min(max(1, int(VAL_SHARE * pictures + Fraction(1, 2))), len(parts.val))
    held = max(held, pictures - len(parts.train))
    train, val = _first(parts.train, pictures - held, seed), _first(parts.val, held, seed)
    source = f"{parts.source}; {pictures} of {most} labelled pictures drawn with seed {seed}"
    return replace(parts, train=train, val=val, source=source)


def _first(samples: Sequence[Sample], number: int, seed: int) -> tuple[Sample, ...]:
    """Give the first of a random order in which every kind comes in proportion from the beginning.

    One of them at least is defective where there is any: the last makes room for it.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[tuple[bool, int], list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.name):
        kinds[sample.sound, sample.class_id or 0].append(sample)
    order = [
        ((place + 0.5) / len(found), kind, found[index])
        for kind, found in sorted(kinds.items())
        for place, index in enumerate(rng.permutation(len(found)))
    ]
    ranked = [sample for _, _, sample in sorted(order, key=lambda one: one[:2])]
    chosen, defective = ranked[:number], next((sample for sample in ranked if not sample.sound), None)
    if defective and defective not in chosen:
        chosen[-1:] = [defective]
    return tuple(sorted(chosen, key=lambda sample: sample.name))
