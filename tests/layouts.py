"""Tiny seeded data sets in every download layout, for tests: a noisy surface with a bright rectangle as defect."""

from pathlib import Path

import cv2
import numpy as np

SIDE = 40


def picture(seed: int, sound: bool = False, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Give a grey picture `(side, side) uint8` and its mask of 0 and 255; different seeds look different."""
    rng = np.random.default_rng(seed)
    image = rng.normal(110, 18, (side, side))
    mask = np.zeros((side, side), np.uint8)
    if not sound:
        y, x, h, w = rng.integers(4, side // 3, 4)
        mask[y : y + h, x : x + w] = 255
        image[mask > 0] += 90
    return image.clip(0, 255).astype(np.uint8), mask


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels to `path`, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def sd900(root: Path, each: int = 4) -> Path:
    """`Source Images/In_1.bmp`, `Ground truth/In_1.png`."""
    for kind, prefix in enumerate(("In", "Pa", "Sc")):
        for number in range(1, each + 1):
            image, mask = picture(100 * kind + number)
            save(root / "Source Images" / f"{prefix}_{number}.bmp", image)
            save(root / "Ground truth" / f"{prefix}_{number}.png", mask)
    (root / "Source Images" / "Thumbs.db").write_bytes(b"no picture")
    return root


def neu_seg(root: Path, train: int = 5, test: int = 3) -> Path:
    """`images/{training,test}/000201.jpg`, `annotations/{training,test}/000201.png` of ids 0 to 3."""
    for part, numbers in (("training", range(201, 201 + train)), ("test", range(1, 1 + test))):
        for number in numbers:
            image, mask = picture(number)
            save(root / "images" / part / f"{number:06}.jpg", image)
            save(root / "annotations" / part / f"{number:06}.png", mask // 255 * (1 + number % 3))
    return root


def mt(root: Path, each: int = 2) -> Path:
    """`MT_<Class>/Imgs/x.jpg` with the mask `x.png` beside it; the masks of MT_Free are empty."""
    for kind, name in enumerate(("Blowhole", "Break", "Crack", "Fray", "Uneven", "Free")):
        for number in range(each):
            image, mask = picture(100 * kind + number, sound=name == "Free")
            save(root / f"MT_{name}" / "Imgs" / f"exp1_num_{100 * kind + number}.jpg", image)
            save(root / f"MT_{name}" / "Imgs" / f"exp1_num_{100 * kind + number}.png", cv2.blur(mask, (3, 3)))
    return root


def dagm(root: Path, classes: tuple[int, ...] = (7, 8), sound: int = 3, defective: int = 3) -> Path:
    """`Class7/Train/0576.PNG`, `Class7/Train/Label/0576_label.PNG`; sound pictures have no label."""
    for kind in classes:
        for part, start in (("Train", 576), ("Test", 1)):
            folder = root / f"Class{kind}" / part
            for number in range(start, start + sound + defective):
                image, mask = picture(10_000 * kind + number, sound=number >= start + defective)
                save(folder / f"{number:04}.PNG", image)
                if number < start + defective:
                    save(folder / "Label" / f"{number:04}_label.PNG", mask)
            rows = [f"{n}\t1\t{n:04}.PNG\t0\t{n:04}_label.PNG" for n in range(start, start + defective)]
            (folder / "Label" / "Labels.txt").write_text("1\n" + "\n".join(rows) + "\n")
    return root


def mcsd(root: Path, number: int = 6) -> Path:
    """`images/001.png`, `masks/001.png` in a folder whose name says MCSD."""
    return folder(root / "MCSD", number)


def ksdd(root: Path, parts: int = 4, views: int = 3) -> Path:
    """`kos01/Part0.jpg`, `kos01/Part0_label.bmp`; view 0 of each commutator has the defect."""
    for part in range(1, parts + 1):
        for view in range(views):
            image, mask = picture(100 * part + view, sound=view > 0)
            save(root / f"kos{part:02}" / f"Part{view}.jpg", image)
            save(root / f"kos{part:02}" / f"Part{view}_label.bmp", mask)
    return root


def folder(root: Path, number: int = 6, parts: tuple[str, ...] = (), ids: int = 0) -> Path:
    """`images/001.png` and `masks/001.png`, in `parts` where given; masks of 0/255, or of ids up to `ids`."""
    for at, part in enumerate(parts or ("",)):
        for n in range(1, number + 1):
            image, mask = picture(1000 * at + n)
            save(root / "images" / part / f"{n:03}.png", image)
            save(root / "masks" / part / f"{n:03}.png", mask // 255 * (1 + n % ids) if ids else mask)
    return root


WRITERS = {
    "sd900": sd900,
    "neu_seg": neu_seg,
    "mt": mt,
    "dagm": dagm,
    "mcsd": mcsd,
    "ksdd": ksdd,
    "folder": folder,
}
