"""Recorded runs as demonstrations."""
