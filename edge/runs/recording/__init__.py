"""What is kept of a run from its tap: recordings in MCAP, the last seconds, decisions, a video."""
