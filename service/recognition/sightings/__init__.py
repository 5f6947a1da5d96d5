"""Sightings: recording who was seen, and reading what was recorded."""
