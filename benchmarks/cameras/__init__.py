"""What cameras cost, and how old their images are."""
