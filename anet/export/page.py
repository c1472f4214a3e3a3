"""`CARD.md` of a bundle: what a person must know before a model judges parts."""

from typing import Any

from anet.frame import STRIDE
from anet.runtime.card import Card
from anet.runtime.told import TOLD, score_lines


def page(card: Card) -> str:
    """Give the page as Markdown: the card's figures, and the model's limits; first what one that ships must tell."""
    told = _tabled(card.provenance.get(TOLD))
    return "\n\n".join([*_shipped(card, told), _page(card).replace("# ", "## ", 1)]) if told else _page(card)


def _shipped(card: Card, told: dict[str, Any]) -> list[str]:
    said = [f"# {told.get('name')}", str(told.get("about"))]
    said += [f"Not for: {told.get('not_for')}", f"Licence: {told.get('licence')}"]
    lines = [f"- {line}" for line in score_lines(_tabled(told.get("scores")))]
    scored = f"On held-out pictures, by this very file{_before(card)}, one seed:"
    return [*said, scored, "\n".join(lines)] if lines else said


def _before(card: Card) -> str:
    """Say at which point figures were measured, where `anet threshold` has written another one since."""
    was = [card.parity.get(name, getattr(card, name)) for name in ("threshold", "min_area_px")]
    same = was == [card.threshold, card.min_area_px]
    return "" if same else f" as it was, deciding above {was[0]:.4g} and regions from {was[1]} px"


def _page(card: Card) -> str:
    size = f"any, sides in multiples of {STRIDE}" if card.dynamic else f"{card.h} x {card.w} pixels"
    pictures = f"median picture {card.picture_px} px" + f", 95 % up to {card.large_px} px" * (card.large_px > 0)
    scale = f"{card.scale:.3g} network pixels a picture pixel ({pictures})"
    parts = [
        f"# {card.network}: {', '.join(card.class_names[1:])}",
        "Marks defects in pictures of a surface, pixel by pixel. Made by `anet export`; read by `anet inspect`.",
        _table(
            ("input", f"{size}, uint8 RGB; {scale if card.scale else 'scale of the training not known'}"),
            *([("light", _light(card.mean_grey))] if card.mean_grey else []),
            ("classes", ", ".join(card.class_names)),
            ("decision", f"defect above {card.threshold:.4g}, regions from {card.min_area_px} px; see card.json"),
            ("recommended, the fastest first", ", ".join(card.fastest) or card.precision),
            *_origin(card.provenance),
        ),
        "## Parity and speed",
        _figures(card),
        *(f"Left out: {name}: {why}." for name, why in card.left_out.items()),
        "## Limits",
        "- The IoU above is on the pictures that chose the weights: `anet eval` on held-out ones says what to expect.\n"
        f"- It knows only surfaces, lighting and defects like those it was trained on; {_warned(card)}.\n"
        "- Defects finer than two or three network pixels are lost; see the scale above.\n"
        "- The licence of the training pictures is not known here: ask where they come from before passing this on.\n"
        "- Checksums tell damage, not intent.",
    ]
    return "\n\n".join(parts) + "\n"


def _warned(card: Card) -> str:
    unlike = "nothing warns of others"
    return f"{unlike}, but of light that is far off" if card.mean_grey else unlike


def _light(trained: tuple[float, float]) -> str:
    return f"mean grey of the training pictures {trained[0]:.4g} to {trained[1]:.4g}; `inspect` warns far from them"


def _origin(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """Give data, split and recipe, as far as they are known."""
    data, split, recipe = (_tabled(provenance.get(key)) for key in ("data", "split", "recipe"))
    rows = []
    if data:
        rows.append(("data", f"{data.get('name')}, {data.get('task')}; SHA-256 {data.get('digest')}"))
    if split:
        rows.append(
            ("split", f"{split.get('source')} ({split.get('train')} pictures to train, {split.get('val')} val)")
        )
    if recipe:
        rows.append(("recipe", f"{recipe.get('name')}, {recipe.get('epochs')} epochs, seed {provenance.get('seed')}"))
    if commit := provenance.get("commit"):
        rows.append(("commit", str(commit)))
    return rows


def _figures(card: Card) -> str:
    names = [name for name, one in card.parity.items() if isinstance(one, dict)]
    rows = []
    for name in names:
        one, took = card.parity[name], card.speed.get(name, {})
        iou = "–" if one["iou"] is None else f"{100 * one['iou']:.2f}"
        worst = f"{one['max_difference']:.1e}" if "max_difference" in one else "–"
        share = f"{100 * one['equal_share']:.4f} %" if "equal_share" in one else "–"
        most = "–" if one.get("loss_bound") is None else f"{one['loss_bound']:.2f}"
        rows.append((name, iou, most, worst, share, str(took.get("median_ms", "–")), str(took.get("p95_ms", "–"))))
    head = ("engine", "IoU", "points lost at most", "largest difference", "pixels equal", "median ms", "95 % ms")
    where = card.speed["machine"]
    return (
        _table(*rows, head=head)
        + f"\n\nOn {card.parity['pictures']} validation pictures{_before(card)}, beside torch; points lost at most:"
        f" 95 % bound on {card.parity.get('bound_on', 0)} labelled ones, those of training among them. Milliseconds"
        f" for one frame on {where['cpu']} with {where['cores']} cores, in interleaved rounds, while other work may"
        " have run."
    )


def _table(*rows: tuple[str, ...], head: tuple[str, ...] = ("", "")) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _tabled(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
