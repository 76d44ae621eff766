"""Commands: one file a command, their arguments, and what they print besides words."""
