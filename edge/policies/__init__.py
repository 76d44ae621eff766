"""Policies: from what is seen to what is driven."""
