"""Commands: one file a command of the command line."""
