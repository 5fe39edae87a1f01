"""Rights to read and publish topics, tokens that give them, and rate limits. No HTTP; time is an argument."""
