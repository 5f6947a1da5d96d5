"""What a user can ask: the REST service, its client, and the command line."""
