"""Each camera of a drive, with what watches it."""
