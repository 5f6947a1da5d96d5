"""The measured claims of the README, one command each: ``python -m bench.NAME``."""
