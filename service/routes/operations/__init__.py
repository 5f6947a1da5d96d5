"""Routes for those who run the service: health, metrics, and what runs here."""
