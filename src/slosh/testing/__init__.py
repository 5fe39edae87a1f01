"""Parts of slosh that exist so that others can test it."""
