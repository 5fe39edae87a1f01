"""What a browser gets besides topics: the document root, the server's own pages, and errors as pages."""
