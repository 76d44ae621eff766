"""Recordings: pictures in a folder, and videos with the times of their frames."""
