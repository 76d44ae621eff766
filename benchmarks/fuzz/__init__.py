"""Hostile inputs by the million: `python -m benchmarks.fuzz [TARGET…] --inputs N --seed S`.

Each target makes inputs from a seed and hands them to the real code. An input is accepted, refused by an
error of the house, or it is a flaw, whose input is kept as a file.
"""
