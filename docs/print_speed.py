"""Print the tables of docs/speed.md into it, from results/speed/ and results/int8/: `python docs/print_speed.py`."""

import json
import re
from pathlib import Path

from anet.bench.show import markdown, read_record
from anet.files import atomic_write

ROOT = Path(__file__).parent.parent
PAGE, RECORDS, INT8 = ROOT / "docs" / "speed.md", ROOT / "results" / "speed", ROOT / "results" / "int8"
PARTS = ("train", "val", "test")
BLOCK = re.compile(r"(<!-- printed from (\S+) -->\n).*?(<!-- end of print -->)", re.S)


def settings(path: Path) -> str:
    """Give the record of docs/try_settings.py as Markdown."""
    content = json.loads(path.read_text())
    where = content["machine"]
    lines = [f"{where['cpu']}, {where['cores']} cores, OpenVINO {content['versions']['openvino']}, "
             f"{content['rounds']} interleaved rounds.\n"]  # fmt: skip
    for mode, ways in content["settings"].items():
        lines += [f"| {mode} | ms a picture | 5–95 % | against the first | 5–95 % |", "| --- | --- | --- | --- | --- |"]
        for name, one in ways.items():
            took, ratio = one["ms"], one["ratio"]
            cells = [f"{one['median']:.2f} | {one['low']:.2f}–{one['high']:.2f}" for one in (took, ratio)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def int8(folder: Path) -> str:
    """Give what `anet eval --precision` found of each way to int8, beside float32 of the same bundles, as Markdown.

    A row a class; those of several have one threshold and one score on validation, in a row of their mean.
    """
    found = [json.loads(path.read_text()) for path in sorted(folder.rglob("anet-*.json"))]
    head = "| data, task, split | answers | threshold | IoU, val | IoU | against float32 | IoU, pictures | escapes |"
    lines = [head, "| --- " * head.count(" |") + "|"]
    plain = {_task(one): one["scores"] for one in found if one["model"]["precision"] == "f32"}
    for one in sorted(found, key=lambda one: (_task(one), one["model"]["precision"] != "f32", _way(one["model"]))):
        scores, threshold, exact = one["scores"], one["threshold"], one["model"]["precision"] == "f32"
        before, names = plain[_task(one)], one["model"]["class_names"][1:]
        lost = "" if exact else f"{100 * (scores['miou'] - before['miou']):+.2f}"
        several, each = len(names) > 1, scores["iou_mean_pictures"]
        cells = (
            _task(one) + ": mean" * several, "float32" if exact else f"int8, {_way(one['model'])}",
            f"{threshold['value']:.3f}", f"{100 * threshold['val_iou']:.2f}", f"{100 * scores['miou']:.2f}", lost,
            "" if several else f"{100 * each[1]:.2f}", f"{scores['escapes']} of {scores['defect_pictures']}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
        for number, name in enumerate(names if several else (), 1):
            iou = scores["iou"][number]
            lost = "" if exact else f"{100 * (iou - before['iou'][number]):+.2f}"
            cells = f"… {name}", cells[1], "", "", f"{100 * iou:.2f}", lost, f"{100 * each[number]:.2f}", ""
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ranges(path: Path) -> str:
    """Give the record of docs/try_int8.py as Markdown."""
    content = json.loads(path.read_text())
    split = content["split"]
    lines = [
        f"{_task(content)}: {split['train']} pictures of training, {split['val']} of validation, {split['test']} of "
        f"test; ranges from {content['ranges_from']}; threshold {content['threshold']:.3f}.\n",
        "| ranges | IoU, training | validation | test | points lost at most | a probability is off by, on average |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in content["ways"].items():
        bound = f"{one['loss_bound']:.2f}" if "loss_bound" in one else ""
        off = f"{one['difference']:.5f}" if "difference" in one else ""
        lines.append(f"| {name} | {' | '.join(f'{100 * one[part]:.2f}' for part in PARTS)} | {bound} | {off} |")
    return "\n".join(lines)


def _task(result: dict) -> str:
    """Name the network that is scored: one of each way to train it, here."""
    data, recipe = result["data"], result.get("model", {}).get("recipe", {})
    turned = ", not turned" if data["name"] == "sd900" and not recipe.get("rot90", True) else ""
    return f"{data['name']}, {data['task']}, {result['split']['protocol']}{turned}"


def _way(model: dict) -> str:
    """Name a way to int8: nncf's, or the compiled kernel's own."""
    return "kernel" if model["engine"] == "native" else model["int8"]


def filled(page: str) -> str:
    """Give the page with every printed block made anew."""

    def fill(block: re.Match) -> str:
        path = RECORDS / block.group(2)
        if path.name == INT8.name:
            text = int8(INT8)
        elif path.name.startswith("ranges-"):
            text = ranges(INT8 / path.name)
        else:
            text = settings(path) if path.name.startswith("settings-") else markdown(read_record(path))
        return f"{block.group(1)}{text.rstrip()}\n{block.group(3)}"

    return BLOCK.sub(fill, page)


if __name__ == "__main__":
    atomic_write(PAGE, filled(PAGE.read_text()))
