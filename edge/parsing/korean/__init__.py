"""Korean sentences to the cues of orders."""
