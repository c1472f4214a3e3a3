"""Inspect every picture of a folder and stop at the first reject: `python inspect_folder.py BUNDLE FOLDER`."""

import sys
from pathlib import Path

from anet.errors import AnetError
from anet.files import printable
from anet.image import list_images
from anet.runtime.inspector import Inspector


def main(bundle: Path, folder: Path) -> int:
    """Give the exit code: 0, 1 when a picture is rejected, 2 when one gets no verdict, or none is there."""
    try:
        inspect, paths = Inspector(bundle), list(list_images([folder]))
        for path in paths:
            report = inspect(path)
            print(printable(path.name), report.verdict, f"{sum(report.timing_ms.values()):.1f} ms")
            for defect in report.defects:
                x, y = defect.box[:2]
                print(f"  {defect.class_name} at {x}, {y}: {defect.area_px} px, score {defect.score:.2f}")
            if report.verdict == "reject":
                return 1
    except AnetError as error:  # no such folder, unreadable, or the model answers NaN: never take it for good
        print(f"no verdict: {error}")
        return 2
    if not paths:  # as of a share that is not mounted
        print(f"no verdict: no picture in {printable(folder)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
