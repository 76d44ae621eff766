"""What stands between this machine and a drive: one line for each thing, with the command that mends it."""
