"""Boxes in a model's text: the forms of each family, and whether a label names what was asked for."""
