"""Which requests are answered, and what their clients may do: names, origins, tokens, rights, and each one's share."""
