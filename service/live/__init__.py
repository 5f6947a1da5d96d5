"""Live streams: frames in, tracks and rolling verdicts out."""
