"""Cameras: one file a kind, found by the scheme of its address."""
