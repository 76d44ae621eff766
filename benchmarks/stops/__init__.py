"""How soon a base stands when its runtime is killed or stopped."""
