"""The REST routes: thin, one file a resource."""
