"""TensorRT: plans, each built in a process of its own, and the proof of their types."""
