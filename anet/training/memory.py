"""Keep freed memory inside the process: on CPU, fetching fresh pages costs A-Net half of its training time."""

import ctypes
import sys

# mallopt's parameter numbers (malloc.h) with what the training loop wants, and glibc's own starting values.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEEP = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 256 * 2**20))
DEFAULT = ((MMAP_MAX, 65536), (TRIM_THRESHOLD, 128 * 1024), (TOP_PAD, 128 * 1024), (MMAP_THRESHOLD, 128 * 1024))


def keep_memory(keep: bool = True) -> bool:
    """Tell glibc's malloc to reuse large blocks instead of returning them; False restores its defaults.

    Without this each activation is a fresh mmap whose pages the kernel must zero. Gives whether it took effect: on
    systems without glibc (macOS, musl) nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        done = all(libc.mallopt(parameter, value) for parameter, value in (KEEP if keep else DEFAULT))
        if not keep:
            libc.malloc_trim(0)
        return done
    except (OSError, AttributeError):
        return False
