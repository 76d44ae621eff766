"""Large models: one graph in memory at a time."""
