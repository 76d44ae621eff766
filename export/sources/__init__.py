"""Sources: a checkpoint, of any kind, to a bundle in fp32."""
