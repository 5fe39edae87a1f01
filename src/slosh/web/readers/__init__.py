"""The ways of reading a topic."""
