"""How well bundles do beside each other, and how quickly."""
