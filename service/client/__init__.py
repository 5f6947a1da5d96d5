"""A small typed client of the service."""

from service.client.rest import Client

__all__ = ["Client"]
