"""The scripted expert that demonstrations are of, and the ways through a room that it knows."""
