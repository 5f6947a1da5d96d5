"""What a distance means: units, thresholds, verdicts, and why."""
