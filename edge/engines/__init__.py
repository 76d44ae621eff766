"""Inference engines: ONNX Runtime and TensorRT behind one interface."""
