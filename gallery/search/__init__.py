"""Exact nearest neighbours under the part-wise distance."""
