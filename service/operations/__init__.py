"""For those who run the service: checks, logs, sizing, the demo and its report."""
