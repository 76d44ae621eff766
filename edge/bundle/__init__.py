"""Bundles: the folder that holds a model, its manifest, its files, its signature."""
