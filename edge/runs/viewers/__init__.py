"""Viewers of others that look at a drive under way: Foxglove's app and Rerun's."""
