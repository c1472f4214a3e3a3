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
            alike = tuple((files[pair.a], files[pair.b], pair.kind) for pair in pairs)
            yield Finding("warning", "near-duplicates", tuple(files[name] for name in names), text, alike)
        return
    groups = similar.groups(dataset.samples, [pair for pair in pairs if not pair.kind.startswith("shifted")])
    for part, others, level in (("test", ("train", "val"), "error"), ("val", ("train",), "warning")):
        inside = {name for name, its in parts.items() if its == part}
        outside = {name for name, its in parts.items() if its in others}
        found = partners(inside, outside, groups, pairs)
        shifted = {name for name, (_, how) in found.items() if how.startswith("shifted")}
        where = " or ".join(sorted({its for its in parts.values() if its in others}))
        for kind, names, text in (
            ("copies", found.keys() - shifted, f"have a copy in {where} (rotated or mirrored included)"),
            ("overlaps", shifted, f"overlap one in {where} (shifted copies)"),
        ):
            if names:
                text = f"{len(names)} of {len(inside)} {part} pictures {text}"
                alike = tuple((files[name], files[found[name][0]], found[name][1]) for name in sorted(names))
                yield Finding(level, f"{kind} in {part}", tuple(file for file, _, _ in alike), text, alike)


def partners(
    inside: set[str], outside: set[str], groups: dict[str, str], pairs: list[Pair]
) -> dict[str, tuple[str, str]]:
    """Give each name inside that shows what a picture outside shows that picture, and how; copies before overlaps.

    The one that it was paired with, else one by way of copies, since `near_duplicates` pairs these with one
    representative only. `groups` are of copies alone (name -> group), `pairs` all that `near_duplicates` found.
    """
    first = {groups[name]: name for name in sorted(outside, reverse=True)}
    members: dict[str, list[str]] = defaultdict(list)
    for name in sorted(inside):
        members[groups[name]].append(name)
    both = [(*names, pair.kind) for pair in pairs for names in ((pair.a, pair.b), (pair.b, pair.a))]
    shifts = [one for one in both if one[2].startswith("shifted")]
    ways = [one for one in both if one[1] in outside and not one[2].startswith("shifted")]
    ways += [(name, first[group], "copy") for group in members.keys() & first.keys() for name in members[group]]
    ways += [one for one in shifts if one[1] in outside]
    ways += [(n, first[groups[b]], how) for a, b, how in shifts if groups[b] in first for n in members[groups[a]]]
    found: dict[str, tuple[str, str]] = {}
    for name, partner, how in ways:
        if name in inside:
            found.setdefault(name, (partner, how))
    return found


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
