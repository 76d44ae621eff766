"""The soak: random faults at random times into real runs, for hours (`python -m benchmarks.soak`)."""
