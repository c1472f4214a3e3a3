"""A seeded set of synthetic surface defects: the default of `make run` and the fixture of tests."""

from pathlib import Path

import numpy as np

from anet.data.synthetic.defects import DEFECTS
from anet.data.synthetic.surfaces import ONE, SURFACES, Ground, axes, between, direction, noise
from anet.errors import OptionError
from anet.files import appearing, printable, write_json
from anet.image import png_bytes

VERSION = 1  # of the pictures: raised whenever a seed gives other pixels than before
HELD_OUT = {"val": 0.15, "test": 0.25}  # the rest trains


def surface(kind: str, defect: str | None, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one picture `(size, size, 3) uint8` and its mask `(size, size) uint8`, 255 where the defect is, else 0.

    `kind` is a key of SURFACES, `defect` one of DEFECTS or None for a sound surface. The same arguments give the same
    pixels on any machine; the same seed with another `defect` gives the same surface. Raises OptionError.
    """
    if kind not in SURFACES:
        raise OptionError(f"no surface {printable(kind)}: there are {', '.join(SURFACES)}")
    if defect is not None and defect not in DEFECTS:
        raise OptionError(f"no defect {printable(defect)}: there are {', '.join(DEFECTS)}")
    _check_size(size)
    _check_seed(seed)
    sound = SURFACES[kind](_stream(seed, 0), size)
    level, mask = sound.level, np.zeros((size, size), np.uint8)
    if defect is not None:
        level, coverage = DEFECTS[defect](_stream(seed, 1), sound)
        mask = np.where(coverage > 0.5, 255, 0).astype(np.uint8)
    grey = _photograph(_stream(seed, 2), Ground(level, sound.spread, sound.along))
    return np.repeat(grey[..., None], 3, axis=2), mask


def synthesize(out: Path, pictures: int = 120, size: int = 192, seed: int = 0, sound: float = 0.2) -> Path:
    """Write a synthetic set as a plain folder `out` and give its path; the folder appears whole or not at all.

    `images/` and `masks/` hold `{train,val,test}/NAME.png`, both grey; masks are 0/255 and a sound picture's is all 0.
    `synthetic.json` says seed, version and what is on each picture. `sound` is the share of pictures without a defect.
    Raises OptionError, and OutputError when `out` holds something or cannot be written.
    """
    out = Path(out)
    if pictures < 3:
        raise OptionError(f"{pictures} pictures are too few: 3 or more give one to each part")
    if not 0 <= sound < 1:
        raise OptionError(f"sound {sound} is no share of pictures: 0 up to, but not including, 1 works")
    _check_size(size)
    _check_seed(seed)
    with appearing(out, new=True) as folder:
        _write(folder, _plan(pictures, seed, sound), size, seed)
    return out


def _plan(pictures: int, seed: int, sound: float) -> list[dict]:
    """Say what is on each picture; every part gets its share of sound ones, and kinds take turns."""
    rng = _stream(seed, 3)
    held_out = {part: max(1, round(pictures * share)) for part, share in HELD_OUT.items()}
    plan: list[dict] = []
    for part, count in {"train": pictures - sum(held_out.values()), **held_out}.items():
        defects = [None] * round(count * sound)
        defects += [tuple(DEFECTS)[i % len(DEFECTS)] for i in range(count - len(defects))]
        shuffled = [defects[i] for i in np.argsort(rng.random(count), kind="stable")]
        kinds = [tuple(SURFACES)[i % len(SURFACES)] for i in np.argsort(rng.random(count), kind="stable")]
        for kind, defect in zip(kinds, shuffled, strict=True):
            number = len(plan)
            name = f"{number:05d}-{kind}-{defect or 'sound'}"
            plan.append(
                {"name": name, "part": part, "kind": kind, "defect": defect, "seed": _picture_seed(seed, number)}
            )
    return plan


def _write(folder: Path, plan: list[dict], size: int, seed: int) -> None:
    for entry in plan:
        image, mask = surface(entry["kind"], entry["defect"], size, entry["seed"])
        for place, array in (("images", image[..., 0]), ("masks", mask)):
            target = folder / place / entry["part"] / f"{entry['name']}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(png_bytes(np.ascontiguousarray(array)))
    write_json(folder / "synthetic.json", {"version": VERSION, "seed": seed, "size": size, "pictures": plan})


def _photograph(rng: np.random.Generator, scene: Ground) -> np.ndarray:
    """Light a surface from one side, darken its corners, add the sensor's noise: `(H, W) uint8`."""
    size = scene.level.shape[0]
    slope, _ = axes(size, direction(rng, ((1.0, 0.0), (0.0, 1.0))[int(rng.random() * 2)], tilt=1.0))
    x, y = axes(size, (1.0, 0.0))
    corner = 2 * (x * x + y * y) / (size * size)  # 1 in the corners
    light = (1 + between(rng, -0.45, 0.45) * slope / size) * (1 - between(rng, 0.0, 0.35) * corner)
    grey = np.clip(scene.level * light, 0, 255)
    grain = noise(rng, size) / ONE * 1.7320508  # the sum of four has deviation 1/sqrt(3)
    grey = grey + grain * between(rng, 1.0, 3.0) * np.sqrt(0.4 + grey / 212)
    return np.clip(np.floor(grey + 0.5), 0, 255).astype(np.uint8)


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, purpose))))


def _picture_seed(seed: int, number: int) -> int:
    """Give each picture of a set a seed of its own, so that no two parts share a surface."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> np.uint64(12))  # exact in JSON


def _check_size(size: int) -> None:
    if not 64 <= size <= 4096:
        raise OptionError(f"size {size} does not work: 64 to 4096 pixels do")


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise OptionError(f"seed {seed} is negative: 0 or more works")
