"""What a model that ships, and every copy of it, tells people: what it is, what not for, its licence, its scores."""

from typing import Any

TOLD = "shipped"  # key of a card's provenance: about, not_for, licence, parameters, scores, bytes


def unscored(provenance: dict[str, Any]) -> dict[str, Any]:
    """Leave out the scores that a model which ships tells of itself: its other formats and sizes are other files."""
    told = provenance.get(TOLD)
    return {**provenance, TOLD: {**told, "scores": {}}} if isinstance(told, dict) else provenance


def score_lines(scores: dict[str, Any]) -> list[str]:
    """Give a line for each set of test pictures on which the shipped file was scored."""
    return [
        f"{name}: IoU {_percent(one['iou'])}"
        + (
            f" ({', '.join(f'{k} {_percent(v)}' for k, v in one['classes'].items())})"
            if len(one["classes"]) > 1
            else ""
        )
        + f" on {one['pictures']} held-out pictures; {one['escapes']} of {one['defect_pictures']} with a defect pass"
        + (
            f", {one['false_defects']} of {one['sound_pictures']} sound ones are flagged"
            if one["sound_pictures"]
            else ""
        )
        for name, one in scores.items()
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
