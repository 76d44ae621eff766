"""Measured drives: those of `vla-edge run`, with stamps where things happen."""
