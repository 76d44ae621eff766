"""What is measured on the real thing: cameras, motors, activation ranges, action statistics."""
