"""Live streams: they take frames, and return tracks and updated verdicts."""
