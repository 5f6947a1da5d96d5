"""Store for several hosts: Redis, as a single server or a cluster."""
