"""English sentences to the cues of orders."""
