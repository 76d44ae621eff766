"""Boxes in a model's text: the forms that each family writes, and whether a label names what was asked for."""
