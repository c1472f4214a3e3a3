"""What runs a network on a CPU: OpenVINO, ONNX Runtime, and a compiled kernel of our own."""
