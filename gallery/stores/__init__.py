"""Where templates are kept: the protocol of a store, the stores that there are, and what they share."""
