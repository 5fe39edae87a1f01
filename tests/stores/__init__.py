"""Real Redis and Valkey servers for tests: found, started, hurt and always ended."""
