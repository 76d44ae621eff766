"""Drivers: one file an actuator, found by the scheme of its address in a table of `edge/plugins.py`."""
