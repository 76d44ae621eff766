"""Recorded runs once more: what was decided, by the same code and bundle or by others."""
