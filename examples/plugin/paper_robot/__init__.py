"""A robot on paper, for vla-edge: its camera draws what it shows, its base is a file that takes setpoints."""
