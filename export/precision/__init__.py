"""Precisions: one file a method of changing a graph."""
