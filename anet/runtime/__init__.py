"""Inspection without torch: numpy, OpenCV and OpenVINO only.

OpenVINO 2026 reports its import and each conversion to Google Analytics unless the user opted out, and writes an id
below the home folder. Marking its telemetry package as absent, before OpenVINO is first imported, makes it take its own
silent stub instead: no connection, no file. Everything of ours that imports OpenVINO comes through here first.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: "import" raises ImportError
