"""Runs: what a run leaves behind."""
