"""The REST service, its client, and the command line."""

DISTRIBUTION = "gaitkeeper-id"
"""Name under which this project is installed; "gaitkeeper" on the package index is another project."""
