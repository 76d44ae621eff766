"""Measures on graphs: what goes in, ranges, times, and which layers are sensitive."""
