"""Background work: jobs, webhooks, stored replies for idempotent requests, and removal of expired data."""
