"""The motor process: the last word on every command, and the only owner of the actuator."""
