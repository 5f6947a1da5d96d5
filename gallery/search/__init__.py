"""Exact nearest-neighbour search with the part-wise distance."""
