"""Drivers: one file an actuator, found by the scheme of its address."""
