"""Checkpoints to bundles: graphs, precisions, the gate, TensorRT plans, and the planner."""
