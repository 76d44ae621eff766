"""One decision of the default model, made by this runtime and by others that run the same weights."""
