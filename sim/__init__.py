"""A room, things in it, a robot with a camera: physics, pictures and the truth about both."""
