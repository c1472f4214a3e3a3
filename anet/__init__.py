"""A-Net, from a few dozen labelled pictures to a real-time surface-defect inspector on a plain CPU.

Importing `anet` costs nothing: no torch, no OpenVINO. Each verb lives in a module of its own.
"""

__version__ = "0.1.0"
