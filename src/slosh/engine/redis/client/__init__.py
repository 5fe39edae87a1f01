"""How a store is reached."""
