"""A graph that computes the same with fewer and larger operators, for ONNX Runtime's CPU alone."""
