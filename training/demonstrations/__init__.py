"""Demonstrations: a scripted expert drives and is recorded."""
