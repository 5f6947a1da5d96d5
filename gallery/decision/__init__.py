"""Interpretation of distances: units, thresholds, verdicts and explanations."""
