"""A room, things in it, a robot with a camera: physics, images and the truth about both."""
