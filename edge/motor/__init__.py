"""The motor process: it decides on every command last, and it alone owns the actuator."""
