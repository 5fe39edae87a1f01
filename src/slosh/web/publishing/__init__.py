"""POST and DELETE: what is published, checked before it is stored."""
