"""What befalls robots: cameras, lines, gamepads, machines and policies that break, for tests and the soak."""
