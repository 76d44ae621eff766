"""Runs: folder, figures, pictures, log and live line of a run."""
