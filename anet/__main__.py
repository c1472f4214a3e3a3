"""`python -m anet` and the `anet` command: run one verb; a user's error is one line and exit code 2."""

import os
import sys

from anet.errors import AnetError


def main() -> None:
    """Run the command line. Exits 0 (accept, done), 1 (reject, faults found), 2 (error) or 130 (stopped by Ctrl-C)."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**40))  # our own limits hold, see anet.image
    from anet.cli import app

    try:
        app()
    except AnetError as error:
        print(f"anet: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("anet: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `anet ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in (
            "torch",
            "kornia",
            "lightning_fabric",
            "safetensors",
            "pycocotools",
            "matplotlib",
        ):
            print(f"anet: this verb needs {error.name}: pip install 'anet-inspect[train]'", file=sys.stderr)
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
