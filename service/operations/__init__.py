"""Tools for operators: checks, logs, sizing, the demo and its report."""
