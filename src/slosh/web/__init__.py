"""How clients arrive: HTTP/1.1 on the wire, and what each URL does."""
