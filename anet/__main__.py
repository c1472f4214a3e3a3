"""`python -m anet` and the `anet` command."""

import os


def main() -> None:
    """Run one verb of the command line and exit; `anet.cli.app.Verbs` says with which code."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**40))  # our own limits hold, see anet.image
    from anet.cli import app

    app()


if __name__ == "__main__":
    main()
