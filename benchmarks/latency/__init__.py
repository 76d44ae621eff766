"""`vla-edge bench latency`: from the exposure of a frame to the write at the motors, stage by stage."""
