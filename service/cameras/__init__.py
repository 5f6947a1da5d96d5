"""Cameras that the service runs itself, and what it tells an MQTT broker about them."""
