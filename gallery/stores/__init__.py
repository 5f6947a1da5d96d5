"""Storage of templates: the store protocol, its implementations, and their shared code."""
