"""The runtime: the loop of a drive, its observers and ends, and what a robot is to it."""
