"""Robot files: what a robot is, in YAML; how one is written, checked, and its stop time measured."""
