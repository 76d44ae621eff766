"""Commands: `vla-edge export` and `vla-edge build`."""
