"""Trains policies and the default model."""
