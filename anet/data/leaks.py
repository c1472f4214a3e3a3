"""Find what shows the same thing on both sides of a split: then a score measures memory, not skill."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from anet.data import known, similar
from anet.data.dataset import PARTS, Dataset
from anet.data.faults import Finding, below
from anet.data.similar import Pair
from anet.errors import DataError
from anet.files import printable

TERMS = {"mt": "tile group", "ksdd": "commutator"}


def leaks(dataset: Dataset, parts: dict[str, str]) -> Iterator[Finding]:
    """Find near-duplicates and known groups that `parts` (sample name -> part) tears apart; train and val are one side.

    Without parts, what a random split would tear apart is a warning. All pictures must be readable.
    """
    files = {sample.name: below(sample.image, dataset.root) for sample in dataset.samples}
    yield from _known(dataset, parts, files)
    pairs = similar.near_duplicates(dataset.samples)
    if not parts:
        if pairs:
            names = sorted({name for pair in pairs for name in (pair.a, pair.b)})
            text = similar.describe(similar.groups(dataset.samples, pairs)) + " Protocol grouped keeps them together."
            yield Finding("warning", "near-duplicates", tuple(files[name] for name in names), text)
        return
    groups = similar.groups(dataset.samples, [pair for pair in pairs if not pair.kind.startswith("shifted")])
    for part, others, level in (("test", ("train", "val"), "error"), ("val", ("train",), "warning")):
        inside = {name for name, its in parts.items() if its == part}
        outside = {groups[name] for name, its in parts.items() if its in others}
        copied = sorted(name for name in inside if groups[name] in outside)
        overlapping = sorted(showing(inside, groups, pairs, outside) - set(copied))
        where = " or ".join(sorted({its for its in parts.values() if its in others}))
        if copied:
            text = (
                f"{len(copied)} of {len(inside)} {part} pictures have a copy in {where} (rotated or mirrored included)"
            )
            yield Finding(level, f"copies in {part}", tuple(files[name] for name in copied), text)
        if overlapping:
            text = f"{len(overlapping)} of {len(inside)} {part} pictures overlap one in {where} (shifted copies)"
            yield Finding(level, f"overlaps in {part}", tuple(files[name] for name in overlapping), text)


def showing(inside: set[str], groups: dict[str, str], pairs: list[Pair], outside: set[str]) -> set[str]:
    """Give the names inside that show what a picture outside shows: its copy, or overlapping it or a copy of it.

    `groups` are of copies alone (name -> group), `outside` are groups, `pairs` all that `near_duplicates` found.
    """
    touched = set(outside)
    for pair in pairs:
        if groups[pair.a] in outside:
            touched.add(groups[pair.b])
        if groups[pair.b] in outside:
            touched.add(groups[pair.a])
    return {name for name in inside if groups[name] in touched}


def _known(dataset: Dataset, parts: dict[str, str], files: dict[str, str]) -> Iterator[Finding]:
    """Find groups known from the shipped lists, or from the layout, that are torn apart."""
    try:
        listed = known.groups(dataset.name, dataset.names) or {}
    except DataError as error:
        yield Finding("warning", "not as published", (), str(error))
        listed = {}
    listed = listed or {sample.name: sample.group for sample in dataset.samples if sample.group}
    members: dict[str, list[str]] = defaultdict(list)
    for name, group in listed.items():
        members[group].append(name)
    term = TERMS.get(dataset.name, "group")
    for group, names in sorted(members.items()):
        counts = Counter(parts[name] for name in names if name in parts)
        if len(names) < 2 or (parts and len(counts) < 2):
            continue
        text = f"{term} {printable(group)}: {len(names)} pictures"
        text += "".join(f", {counts[part]} in {part}" for part in PARTS if counts[part])
        level = "error" if "test" in counts else "warning"
        found = tuple(files[name] for name in sorted(names))
        kind = f"{term} in several parts" if parts else f"{term} of one thing"
        yield Finding(level, kind, found, text if parts else f"{text} that show one thing: a random split parts them")
