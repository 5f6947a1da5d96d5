"""Routes for operators and users of the page: health, metrics, sessions, and a description of the service."""
