"""Shapes and sizes of defects, in pixels and millimetres: numpy and OpenCV."""
