"""Recipes: how the nets that ship with the simulator are trained."""
