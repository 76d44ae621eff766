"""A day in the field: a sheet of trials, what came of each, and what that says about the bundles."""
