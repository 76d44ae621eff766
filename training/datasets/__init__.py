"""Demonstrations on disk, and windows of them for training."""
