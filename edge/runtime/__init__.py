"""The runtime: the loop of a drive, and what a robot is to it."""
