"""Graphs: torch modules of every family to ONNX, with their weights inside or outside."""
