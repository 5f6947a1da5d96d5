"""Clips in, replies out: the engine, and what serves one request."""
