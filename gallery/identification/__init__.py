"""Answers to probes: candidates, verdict, and the other people that they rest on."""
