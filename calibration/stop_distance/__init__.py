"""`vla-edge calibrate stop-distance`: how large a target looks by its distance."""
