"""The gate: what a changed bundle computes and decides, against its reference."""
