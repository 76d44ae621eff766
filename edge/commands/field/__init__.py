"""`vla-edge field`: the day itself."""
