"""Shared parts of the commands: options, tables, progress and errors on a terminal."""
