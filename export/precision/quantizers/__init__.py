"""Quantizers put into graphs, weights in blocks, and channels made alike before that."""
