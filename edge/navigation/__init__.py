"""Navigation: the way to a position on the floor, and the velocity that follows it."""
