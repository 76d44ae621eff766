"""`vla-edge calibrate motors`: what a base makes of commands, by its odometry."""
