"""The store for many hosts: Redis, one server or a cluster."""
