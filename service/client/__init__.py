"""A small typed client of the service."""

from gaitkeeper.service.client.rest import Client

__all__ = ["Client"]
