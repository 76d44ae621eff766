"""What a machine says about itself in /proc, /sys and /etc: its board, its heat, its memory, its ports."""
