"""What a model asks of a board, said before any of it is downloaded. Imports no torch and no transformers."""
