"""Perception: image positions to floor positions, boxes between answers, where the floor ends."""
