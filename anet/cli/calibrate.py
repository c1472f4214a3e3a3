"""`anet calibrate`: how large a pixel is."""

from pathlib import Path
from typing import Annotated

import typer

from anet.cli.app import app, console
from anet.files import printable, write_json
from anet.targets import check_target


@app.command()
def calibrate(
    picture: Annotated[Path, typer.Argument(help="Picture of a checkerboard, lying where the parts lie.")],
    squares: Annotated[str, typer.Option(help="Squares of the board across and down, such as 9x6.")],
    square_mm: Annotated[float, typer.Option(help="Width of a square in mm.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for `anet inspect --mm-per-px`.")] = Path(
        "calibration.json"
    ),
) -> None:
    """Measure mm per pixel from a picture of a checkerboard; tilt and a bent lens get a warning."""
    from anet.runtime.measuring.calibrate import calibrate, print_calibration, read_squares

    check_target(out, picture)
    found = calibrate(picture, read_squares(squares), square_mm)
    write_json(out, found.to_dict())
    print_calibration(found, console)
    console.print(printable(out), highlight=False, soft_wrap=True)
