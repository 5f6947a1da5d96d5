"""The engine, which turns clips into replies, and the parts that serve one request."""
