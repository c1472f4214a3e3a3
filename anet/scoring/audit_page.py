"""The page of `anet data audit`: pictures whose label and model disagree, the worst first, and twins labelled apart."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anet.files import atomic_write
from anet.image import overlay
from anet.scoring.page import page, text
from anet.scoring.report import (
    BUDGET,
    FALSE,
    FOUND,
    IGNORED,
    MISSED,
    MISTAKEN,
    Table,
    facts_list,
    figures,
    judged,
    legend,
    shrink_image,
    shrink_mask,
    table_section,
)


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture `(H, W, 3) uint8` of the page with two masks `(H, W) uint8` of ids that are set against each other."""

    title: str
    badge: str  # what stands beside the title
    weight: float  # 0..1, drawn as a bar
    notes: tuple[str, ...]
    image: np.ndarray
    label: np.ndarray
    other: np.ndarray


@dataclass(frozen=True)
class Section:
    """A list of pictures to look at. `views` names picture, label, the other mask, and both against each other."""

    title: str
    note: str
    views: tuple[str, str, str, str]
    colours: tuple[str, str, str]  # what is on both masks, on the label alone, on the other alone
    shown: Iterable[Callable[[], Shown]]  # made one at a time: a page may hold hundreds of pictures


def write_audit(path: Path, title: str, facts: dict[str, str], table: Table, sections: tuple[Section, ...]) -> None:
    """Write the page, all or nothing. Each section takes its share of the bytes that pass through a mail.

    Raises OutputError, and what making a picture raises.
    """
    parts = [f"<h1>{text(title)}</h1>", facts_list(facts), table_section(table)]
    parts += [_section(one, BUDGET // len(sections)) for one in sections]
    atomic_write(path, page(title, "\n".join(parts)))


def _section(section: Section, budget: int) -> str:
    seen: set[tuple[int, int, int]] = set()
    cards = list(_cards(section, budget, seen))
    if not cards:
        return f'<section><h2>{text(section.title)}</h2><p class="note">{text(section.note)} None.</p></section>'
    names = (*section.colours, "another class", "not scored")
    meanings = tuple(zip((FOUND, MISSED, FALSE, MISTAKEN, IGNORED), names, strict=True))
    note = f"{section.note} {len(cards)} are shown."
    return (
        f'<section><h2>{text(section.title)}</h2><p class="note">{text(note)}</p>{legend(seen, meanings)}'
        f'<div class="cards">{"".join(cards)}</div></section>'
    )


def _cards(section: Section, budget: int, seen: set[tuple[int, int, int]]) -> Iterator[str]:
    for make in section.shown:
        card = _card(make(), section.views, seen)
        budget -= len(card)
        if budget < 0:
            return
        yield card


def _card(one: Shown, names: tuple[str, ...], seen: set[tuple[int, int, int]]) -> str:
    image = shrink_image(one.image)
    label, other = (shrink_mask(mask, image.shape[:2]) for mask in (one.label, one.other))
    views = (image, overlay(image, label), overlay(image, other), judged(image, label, other, seen))
    notes = "".join(f'<p class="note">{text(note)}</p>' for note in one.notes)
    return (
        f'<article class="card"><header><h4>{text(one.title)}</h4><b>{text(one.badge)}</b>'
        f'<label><input type="checkbox"> larger</label></header>'
        f'<div class="bar"><i style="width:{100 * one.weight:.0f}%"></i></div>'
        f'<div class="views four">{figures(dict(zip(names, views, strict=True)))}</div>{notes}</article>\n'
    )
