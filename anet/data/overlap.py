"""Align two pictures, and find overlapping (shifted) crops of one surface, in any of the 8 symmetries.

Patches around blobs, each turned into one of 8 canonical positions, are compared by one matrix product; alike patches
vote for a symmetry and a shift; the pixels decide.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np

AGREE = 0.86  # of normalised pixels: SD-900 has a valley at 0.8; no mirrored picture, its decoy, passes (tests)
PATCH, CELLS = 25, 8  # pixels a side of a patch, and of its descriptor
PATCH_ALIKE = 0.93
FEATURES, ALL_FEATURES = 30, 60_000  # of one picture, and of all together: the product below is quadratic
MOST_FOR_OVERLAPS = ALL_FEATURES // 8
OFF = 2  # pixels that two pictures may lie beside the place where they should agree
SPAN = 2 * OFF + 1
GLANCED, MARGIN = 2000, 0.1  # pixels that a glance looks at, and what its answer may be off
LEAST_SIDE, LEAST_SHARE = 24, 0.1  # of an overlap, in pixels and of the smaller picture's area


def normalise(picture: np.ndarray) -> np.ndarray:
    """Take out brightness and contrast locally: else one bright scratch, or vignetting, would decide alone."""
    grey = picture.astype(np.float32)
    band = cv2.GaussianBlur(grey, (0, 0), 1.2) - cv2.GaussianBlur(grey, (0, 0), 8)
    power = cv2.blur(band * band, (37, 37))
    return band / np.sqrt(power + 4)  # 2 grey levels: weaker texture is sensor noise and JPEG


def symmetric(stack: np.ndarray, symmetry: int) -> np.ndarray:
    """Turn the last two axes counter-clockwise by `symmetry % 4` quarters, then mirror it if `symmetry` >= 4."""
    turned = np.rot90(stack, symmetry % 4, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if symmetry >= 4 else turned)


def turned(symmetry: int) -> str:
    """Name a symmetry: "copy", "rotated" or "mirrored" (which may be turned as well)."""
    return "copy" if symmetry == 0 else "mirrored" if symmetry >= 4 else "rotated"


def agreement(a: np.ndarray, b: np.ndarray, dy: int = 0, dx: int = 0) -> tuple[float, float]:
    """Correlate two normalised pictures where they overlap, `b` lying at (dy, dx) in `a`, OFF pixels off allowed.

    Gives correlation and the overlap's share of the smaller picture; (0, 0) where that is too little to say, and where
    a glance at some of the pixels tells that AGREE is far away.
    """
    y0, y1 = max(0, dy), min(a.shape[0], dy + b.shape[0])
    x0, x1 = max(0, dx), min(a.shape[1], dx + b.shape[1])
    share = (y1 - y0) * (x1 - x0) / min(a.size, b.size)
    if y1 - y0 < LEAST_SIDE or x1 - x0 < LEAST_SIDE or share < LEAST_SHARE:
        return 0.0, 0.0
    field = np.ascontiguousarray(a[y0:y1, x0:x1])
    template = np.ascontiguousarray(b[y0 - dy + OFF : y1 - dy - OFF, x0 - dx + OFF : x1 - dx - OFF])
    if min(field.std(), template.std()) < 0.05:  # flat: OpenCV would call it perfect
        return 0.0, 0.0
    if template.size > 4 * GLANCED and _glance(field, template) < AGREE - MARGIN:
        return 0.0, 0.0
    scores = cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(scores, posinf=0).max()), share


def _glance(field: np.ndarray, template: np.ndarray) -> float:
    """Give what `agreement` finds, about, in a tenth of its time: parts on a fixture make every pair a candidate."""
    step = math.isqrt(template.size // GLANCED)
    few = (template[::step, ::step] - template.mean()).ravel()
    h, w = template.shape
    seen = np.stack([field[y : y + h : step, x : x + w : step].ravel() for y, x in np.ndindex(SPAN, SPAN)])
    seen -= seen.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", seen, seen) * np.vdot(few, few))
    return float((seen @ few / (lengths + 1e-9)).max())


# matrix of each symmetry on (y, x) seen from the picture's centre, and the symmetry number of each matrix
_MATRICES = [np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), k % 4) for k in range(8)]
_MATRICES = np.stack([np.array([[1, 0], [0, -1]]) @ m if k >= 4 else m for k, m in enumerate(_MATRICES)])
_NUMBERS = {tuple(matrix.ravel()): k for k, matrix in enumerate(_MATRICES)}
_B_TO_A = np.array([[_NUMBERS[tuple((a.T @ b).ravel())] for b in _MATRICES] for a in _MATRICES])


def overlaps(views: list[np.ndarray], indices: list[int]) -> Iterator[tuple[int, int, float, str]]:
    """Find pairs of pictures that overlap, in any symmetry: `indices` names the pictures of `views`."""
    owner, centre, position, descriptor = _features(views, min(FEATURES, ALL_FEATURES // len(views)))
    a, b = _matches(owner, descriptor)
    symmetry = _B_TO_A[position[a], position[b]]
    shift = centre[a] - np.einsum("nij,nj->ni", _MATRICES[symmetry], centre[b])
    key = (owner[a] * len(views) + owner[b]) * 8 + symmetry
    order = np.argsort(key, kind="stable")
    keys, starts, counts = np.unique(key[order], return_index=True, return_counts=True)
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for one, start, count in zip(keys.tolist(), starts.tolist(), counts.tolist(), strict=True):
        if count < 2:  # one patch alone is chance far more often than an overlap
            continue
        pair = divmod(one // 8, len(views))
        score = _best_shift(views[pair[0]], symmetric(views[pair[1]], one % 8), shift[order[start : start + count]])
        if score > best.get(pair, (AGREE, 0))[0]:
            best[pair] = score, one % 8
    for (first, second), (score, turn) in best.items():
        yield indices[first], indices[second], score, "shifted" + ("" if turn == 0 else f"+{turned(turn)}")


def _features(views: list[np.ndarray], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give owner, centre (y, x from the picture's middle), position (symmetry) and descriptor of patches at blobs."""
    owners, centres, patches = [], [], []
    for index, view in enumerate(views):
        margin = PATCH // 2
        blob = np.abs(cv2.GaussianBlur(view, (0, 0), 2) - cv2.GaussianBlur(view, (0, 0), 4))
        peak = (blob == cv2.dilate(blob, np.ones((9, 9), np.uint8))) & (blob > 0.05)
        inner = np.zeros_like(peak)
        inner[margin:-margin, margin:-margin] = peak[margin:-margin, margin:-margin]
        y, x = np.nonzero(inner)
        strongest = np.argsort(-blob[y, x], kind="stable")[:most]
        for row, column in zip(y[strongest], x[strongest], strict=True):
            patch = view[row - margin : row + margin + 1, column - margin : column + margin + 1]
            owners.append(index)
            centres.append((row - (view.shape[0] - 1) / 2, column - (view.shape[1] - 1) / 2))
            patches.append(cv2.resize(patch, (CELLS, CELLS), interpolation=cv2.INTER_AREA))
    stack = np.array(patches, np.float32).reshape(-1, CELLS, CELLS)
    position = _canonical_position(stack)
    for symmetry in range(1, 8):
        stack[position == symmetry] = symmetric(stack[position == symmetry], symmetry)
    flat = stack.reshape(len(stack), CELLS * CELLS)  # also of none: pictures too small or too even for any
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    return np.array(owners, np.int64), np.array(centres).reshape(-1, 2), position, flat


def _canonical_position(stack: np.ndarray) -> np.ndarray:
    """Give the symmetry bringing each patch's first moments into the wedge 0 <= y <= x: one of 8, whatever the pose."""
    y, x = np.mgrid[:CELLS, :CELLS] - (CELLS - 1) / 2
    position = np.zeros(len(stack), np.int64)
    for symmetry in range(8):
        turned = symmetric(stack, symmetry)
        across, down = (turned * x).sum(axis=(1, 2)), (turned * y).sum(axis=(1, 2))
        position[(across >= down) & (down >= 0)] = symmetry
    return position


def _matches(owner: np.ndarray, descriptor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give index pairs of alike patches of two pictures; of a texture that repeats, only the best 30 of each patch."""
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(descriptor), 1024):
        alike = descriptor[start : start + 1024] @ descriptor[start:].T
        if np.count_nonzero(alike > PATCH_ALIKE) > 30 * len(alike) and alike.shape[1] > 60:
            np.put_along_axis(alike, np.argpartition(alike, -60, axis=1)[:, :-60], 0, axis=1)
        hits = np.argwhere(alike > PATCH_ALIKE) + start
        found.append(hits[owner[hits[:, 0]] < owner[hits[:, 1]]])
    hits = np.concatenate(found)
    return hits[:, 0], hits[:, 1]


def _best_shift(a: np.ndarray, b: np.ndarray, shifts: np.ndarray) -> float:
    """Try the two shifts (of centres) with most votes, at least two; give the best agreement."""
    near = np.abs(shifts[:, None] - shifts[None]).max(axis=2) <= 3
    votes = near.sum(axis=1)
    best, tried = 0.0, np.zeros(len(shifts), bool)
    for _ in range(2):
        leader = int(np.argmax(np.where(tried, 0, votes)))
        if tried[leader] or votes[leader] < 2:
            break
        shift = np.median(shifts[near[leader]], axis=0) + (np.array(a.shape) - np.array(b.shape)) / 2
        best = max(best, agreement(a, b, *np.rint(shift).astype(int).tolist())[0])
        tried |= near[leader]
    return best
