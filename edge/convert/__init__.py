"""Recorded runs in the formats of others."""
