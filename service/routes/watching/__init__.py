"""Routes for cameras that the service runs, and for watch lists."""
