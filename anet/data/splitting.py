"""Training, validation and test parts, by one of three protocols; the same on every machine and for any order of files.

- paper: random, of the paper's sizes (Paper: IV-A, IV-B: 15 % of training is held out). Look-alikes fall on both sides.
- grouped: pictures that show the same thing stay in one part: what a user may expect on a new strip or tile.
- given: the parts of the download or of the user's folders.
"""

import difflib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from anet.data import known
from anet.data.dataset import PARTS, Dataset, Sample, Split
from anet.errors import DataError, OptionError

PROTOCOLS = ("paper", "grouped", "given")
VAL_SHARE = Fraction(15, 100)
TEST_SHARE = {"mt": Fraction(51, 392), "mcsd": Fraction(222, 1108), "neu_seg": Fraction(840, 4470)}
OTHER_TEST_SHARE = Fraction(1, 6)  # 250/50 of SD-saliency-900 and DAGM

Samples = Sequence[Sample]


def split(dataset: Dataset, protocol: str | None = None, seed: int = 0) -> Split:
    """Split a data set; without `protocol`, a plain folder's own parts are taken, else whole groups.

    Raises OptionError for an unknown protocol or seed, DataError when the pictures cannot be split that way.
    """
    if protocol is None:
        protocol = "given" if dataset.given and dataset.name not in known.PUBLISHED else "grouped"
    if protocol not in PROTOCOLS:
        near = difflib.get_close_matches(str(protocol), PROTOCOLS, 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise OptionError(f"no protocol {protocol!r}: {hint}{', '.join(PROTOCOLS)} exist")
    if not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed {seed!r} is no whole number from 0 up")
    how = {"paper": _paper, "grouped": _grouped, "given": _given}[protocol]
    samples = sorted(dataset.samples, key=lambda sample: sample.name)
    train, val, test, source = how(replace(dataset, samples=tuple(samples)), seed, np.random.default_rng(seed))
    for name, part in (("train", train), ("val", val), ("test", test)):
        if not part:
            raise DataError(
                f"no picture left for {name} of {len(samples)} in {dataset.name}: {protocol} needs more of them"
            )
    train, val, test = (tuple(sorted(part, key=lambda sample: sample.name)) for part in (train, val, test))
    return Split(train, val, test, protocol, seed, source)


def grouped_samples(dataset: Dataset) -> tuple[list[Sample], str]:
    """Give the samples with `group` filled, and how: by the shipped lists, or by search for near-duplicates."""
    found, how = known.groups(dataset.name, dataset.names), "the shipped list"
    if found is None:
        from anet.data import similar  # decodes every picture: only where it is needed

        own = {sample.name: sample.group for sample in dataset.samples if sample.group}
        found, how = known.merged([own, similar.groups(dataset.samples)]), "near-duplicate search"
        how += " and the set's own groups" if own else ""
    return [replace(sample, group=found[sample.name]) for sample in dataset.samples], how


def take_groups(
    samples: Samples, share: Fraction | float, rng: np.random.Generator, leave: int = 1
) -> tuple[list[Sample], list[Sample]]:
    """Take whole groups, about `share` of each kind, but leave `leave` groups, one of them defective; give both.

    Groups come in random order and each is taken when that brings the number nearer to what is wanted; what one kind
    falls short of, the next makes up. A group counts by its defective pictures, a sound one by all of its pictures.
    Raises DataError when all samples are of one group.
    """
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.name):
        groups[sample.group or sample.name].append(sample)
    size = {name: sum(not sample.sound for sample in shown) or len(shown) for name, shown in groups.items()}
    bad = {name for name, shown in groups.items() if any(not sample.sound for sample in shown)}
    taken: set[str] = set()
    owed = Fraction(0)
    for kind in _kinds(groups):
        members = set(kind)
        wanted = Fraction(share) * sum(size[name] for name in kind) + owed
        count = 0
        for name in (kind[i] for i in rng.permutation(len(kind))):
            last = any(name in some and len(taken.intersection(some)) + 1 >= len(some) for some in (members, bad))
            full = last or len(taken) + leave >= len(groups)
            if not full and abs(count + size[name] - wanted) < abs(count - wanted):
                taken.add(name)
                count += size[name]
        owed = wanted - count
    if not taken or (len(bad) > 1 and not taken.intersection(bad)):  # a part without a defect measures nothing
        if len(taken) + leave >= len(groups):
            taken.clear()
        taken.add(_least(size, bad))
    inside = [sample for name in groups if name in taken for sample in groups[name]]
    return inside, [sample for name in groups if name not in taken for sample in groups[name]]


def _paper(dataset: Dataset, seed: int, rng: np.random.Generator) -> tuple[Samples, Samples, Samples, str]:
    if len(dataset.samples) < 3:
        raise DataError(
            f"{len(dataset.samples)} pictures cannot be split into train, val and test: 3 are needed, 30 make sense"
        )
    train, val, test = [], [], []
    for sound in (False, True):  # one after the other: defective pictures lie as they do without the sound ones
        drawn, rest = _draw([one for one in dataset.samples if one.sound == sound], _test_share(dataset), rng)
        held, others = _draw(rest, VAL_SHARE, rng)
        test, val, train = test + drawn, val + held, train + others
    if not val:  # of few pictures, each kind by itself has none to spare
        val, train = _draw(train, VAL_SHARE, rng)
    source = (
        f"paper: random with seed {seed}, {len(train) + len(val)}/{len(test)} in the paper's proportion, "
        "15 % of training held out"
    )
    group = known.groups(dataset.name, dataset.names)
    if group:
        source += _leak([group[sample.name] for sample in (*train, *val)], [group[sample.name] for sample in test])
    return train, val, test, source


def _grouped(dataset: Dataset, seed: int, rng: np.random.Generator) -> tuple[Samples, Samples, Samples, str]:
    samples, how = grouped_samples(dataset)
    number = len({sample.group for sample in samples})
    _check_groups(number, len(samples))
    if dataset.name in known.LISTED_TESTS:
        test, rest = _listed(dataset, samples, seed, rng)
        how += f", test number {seed} of {known.SEEDS}"
    else:
        test, rest = take_groups(samples, _test_share(dataset), rng, leave=2)
        how += f", test drawn with seed {seed}"
    val, train = take_groups(rest, VAL_SHARE, rng)
    source = (
        f"grouped: {len(samples)} pictures in {number} groups by {how}, about 15 % of training held out in whole groups"
    )
    return train, val, test, source


def _given(dataset: Dataset, seed: int, rng: np.random.Generator) -> tuple[Samples, Samples, Samples, str]:
    if not dataset.given:
        raise DataError(
            f"{dataset.name} gives no parts: use protocol grouped, or folders train, val, test in images and masks"
        )
    parts: dict[str, Samples] = {
        part: [s for s in dataset.samples if dataset.given.get(s.name) == part] for part in PARTS
    }
    missing = [part for part in ("test", "val") if not parts[part]]
    source = f"given: {', '.join(part for part in parts if parts[part])} as the folders have them"
    if not parts["train"]:
        raise DataError(
            f"{dataset.name} has no part train, only {', '.join(p for p in parts if parts[p])}: add images/train"
        )
    if not missing:
        return parts["train"], parts["val"], parts["test"], source
    samples, how = grouped_samples(dataset)
    parts = {part: [s for s in samples if dataset.given.get(s.name) == part] for part in parts}
    _check_groups(len({s.group for s in parts["train"]}), len(parts["train"]), len(missing) + 1)
    for part in missing:
        share = VAL_SHARE if part == "val" else _test_share(dataset)
        parts[part], parts["train"] = take_groups(parts["train"], share, rng, leave=2 if part != missing[-1] else 1)
    source += f", {' and '.join(missing)} taken from train in whole groups ({how}, seed {seed})"
    source += _leak([s.group for p in ("train", "val") for s in parts[p]], [s.group for s in parts["test"]])
    return parts["train"], parts["val"], parts["test"], source


def _listed(
    dataset: Dataset, samples: Samples, seed: int, rng: np.random.Generator
) -> tuple[list[Sample], list[Sample]]:
    """Part the defective pictures by the list; a sound one goes with its tile, and the others fill up in proportion."""
    parts = known.tests(dataset, seed)
    where = {sample.group: parts[sample.name] for sample in samples if sample.name in parts}
    test = [sample for sample in samples if where.get(sample.group) == "test"]
    rest = [sample for sample in samples if where.get(sample.group) == "train"]
    loose = [sample for sample in samples if sample.group not in where]
    if loose:
        sound = [sample for sample in samples if sample.sound]
        short = _test_share(dataset) * len(sound) - sum(sample.sound for sample in test)
        more, others = take_groups(loose, short / len(loose), rng) if short > 0 else ([], loose)
        test, rest = test + more, rest + others
    return test, rest


def _draw(samples: Samples, share: Fraction, rng: np.random.Generator) -> tuple[list[Sample], list[Sample]]:
    """Draw round(share) of the samples at random, each class in proportion (largest remainder); some, but not all."""
    if not samples:
        return [], []
    kinds: dict[int, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.name):
        kinds[sample.class_id or 0].append(sample)
    total = min(max(1, int(share * len(samples) + Fraction(1, 2))), len(samples) - 1)
    exact = {kind: Fraction(total * len(found), len(samples)) for kind, found in kinds.items()}
    count = {kind: int(number) for kind, number in exact.items()}
    for kind in sorted(kinds, key=lambda k: (count[k] - exact[k], k))[: total - sum(count.values())]:
        count[kind] += 1
    drawn, rest = [], []
    for kind in sorted(kinds):
        order = [kinds[kind][i] for i in rng.permutation(len(kinds[kind]))]
        drawn += order[: count[kind]]
        rest += order[count[kind] :]
    return drawn, rest


def _kinds(groups: dict[str, list[Sample]]) -> list[list[str]]:
    """Sort groups by what they show: sound or not, the class, the top folder; kinds of under 3 groups are one kind."""
    kinds: dict[tuple[bool, int, str], list[str]] = defaultdict(list)
    for name in sorted(groups):
        shown = [sample for sample in groups[name] if not sample.sound] or groups[name]
        kind = Counter((s.sound, s.class_id or 0, s.name.split("/")[0]) for s in shown)
        kinds[min(kind, key=lambda k: (-kind[k], k))].append(name)
    large = [kinds[kind] for kind in sorted(kinds) if len(kinds[kind]) >= 3]
    small = [name for kind in sorted(kinds) if len(kinds[kind]) < 3 for name in kinds[kind]]
    return [small, *large] if small else large


def _least(size: dict[str, int], bad: set[str]) -> str:
    """Give the smallest group with a defect, or of the sound ones where only one group has any."""
    candidates = list(bad) if len(bad) > 1 else [name for name in size if name not in bad]
    if not candidates or len(size) < 2:
        raise DataError(
            "all pictures left are of one group: no leak-free part can be taken, only protocol paper would work"
        )
    return min(candidates, key=lambda name: (size[name], name))


def _check_groups(number: int, pictures: int, needed: int = 3) -> None:
    if number < needed:
        raise DataError(
            f"{pictures} pictures form {number} groups of the same thing, {needed} are needed for parts without leaks: "
            "add pictures of other pieces, or use protocol paper, which parts at random"
        )


def _test_share(dataset: Dataset) -> Fraction:
    return TEST_SHARE.get(dataset.name, OTHER_TEST_SHARE)


def _leak(train: Sequence[str | None], test: Sequence[str | None]) -> str:
    """Say how many test pictures share a group with training, given the groups of all pictures; "" for none."""
    seen = set(train)
    shared = sum(group in seen for group in test)
    return (
        f"; {shared} of {len(test)} test pictures show what a training picture shows: scores are too good"
        if shared
        else ""
    )
