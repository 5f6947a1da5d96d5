"""Batches: each clip of an archive is enrolled or identified once, despite interruptions."""
