"""Bundles: the folder that holds a model.

`bundle.py` reads and verifies one, `signing.py` checks who made it, `archive.py` packs it into one file.
"""
