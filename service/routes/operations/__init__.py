"""Routes for operators: health, metrics, and a description of the service."""
