"""API keys, their permissions, and detection of local callers."""
