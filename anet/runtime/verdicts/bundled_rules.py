"""Rules that belong to a bundle: `rules.toml` and its masks, listed with their SHA-256 in the card."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anet.errors import ModelError, OptionError
from anet.files import atomic_write, printable, read_plain, sha256
from anet.runtime.card import CARD, Card, check_bundle, read_card, read_listed
from anet.runtime.verdicts.rules import Rules
from anet.runtime.verdicts.rules_file import MOST_BYTES, MOST_MASK_BYTES, parse_rules, read_rules, sound

RULES = "rules.toml"


def bundled_rules(folder: Path | str, card: Card) -> Rules | None:
    """Give the rules of a bundle whose card was read already; None where it has none.

    Raises ModelError when one of their files is damaged or not in the card, OptionError when they make no sense.
    """
    folder = Path(folder)
    if RULES not in card.files:
        if os.path.lexists(folder / RULES):
            hint = "it would not be looked at; `anet rules add` makes it part of the bundle"
            raise ModelError(f"{printable(folder / RULES)} is not listed in {CARD}: {hint}")
        return None
    again = f"`anet rules add {printable(folder)} {printable(folder / RULES)}` takes an edited one in"

    def read(name: str) -> bytes:
        return read_listed(folder, card, name, f"; {again}")

    return sound(*parse_rules(read(RULES), read), RULES)


def add_rules(bundle: Path | str, path: Path | str) -> Card:
    """Make the rules of a TOML file, and the masks they name, part of a bundle; give its new card.

    The card is sealed last: when the power goes before, the bundle is refused until this is repeated, and never judges
    by half of the rules. Rules that it had are replaced. Raises ModelError, OptionError, OutputError.
    """
    bundle, path = Path(bundle), Path(path)
    card = read_card(bundle)
    for name in sorted(card.files.keys() - own_files(card)):  # the rest is replaced, and may be half-way to it
        read_listed(bundle, card, name)
    rules = read_rules(path)
    rules.check_classes(card.class_names)
    content = {RULES: read_plain(path, MOST_BYTES, OptionError)}
    for name in rules.mask_files():
        content[name] = read_plain(path.parent / name, MOST_MASK_BYTES, OptionError)
    sound(*parse_rules(content[RULES], content.__getitem__), printable(path))  # what was checked is what is written
    for name, one in content.items():
        atomic_write(bundle / name, one)
    kept = {name: digest for name, digest in card.files.items() if name not in own_files(card)}
    gone = own_files(card) - content.keys()
    card = replace(card, files=kept | {name: sha256(one) for name, one in content.items()})
    atomic_write(bundle / CARD, card.sealed())
    for name in gone:
        (bundle / name).unlink(missing_ok=True)
    return check_bundle(bundle)


def own_files(card: Card) -> set[str]:
    """Give the names of a bundle's files that its rules brought."""
    return {name for name in card.files if name == RULES or (name.endswith(".png") and Path(name).name == name)}


def listed_rules(bundle: Path) -> set[str]:
    """Give the names of the files that a bundle's rules brought; none where there is no readable card."""
    try:
        return own_files(read_card(bundle))
    except ModelError:
        return set()


def rules_to_keep(bundle: Path, class_names: Sequence[str]) -> dict[str, bytes]:
    """Give the files of the rules that a bundle holds, for one that will replace it; none where it holds none.

    Raises OptionError when the rules do not go with the new classes (background first), ModelError when damaged.
    """
    if RULES not in listed_rules(bundle):
        return {}
    card = read_card(bundle)
    rules = bundled_rules(bundle, card)
    assert rules is not None  # they are listed
    rules.check_classes(class_names)
    return {name: read_listed(bundle, card, name) for name in sorted(own_files(card))}
