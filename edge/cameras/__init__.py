"""Cameras: one file a kind, found by the scheme of its address in a table of `edge/plugins.py`."""
