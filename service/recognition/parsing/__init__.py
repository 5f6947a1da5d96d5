"""Parsers and checks of what a request says: metadata, names of walkers, and options that choose a walker."""
