"""Estimates of what a model needs of a board, before it is downloaded; without torch and transformers."""
