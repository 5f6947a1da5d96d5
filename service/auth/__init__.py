"""API keys, what each may do, and callers on this machine."""
