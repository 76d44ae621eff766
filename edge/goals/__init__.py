"""Goals: what an operator may set, and how each is put to a model."""
