"""What the server tells of its topics and of itself: lists, watchers, metrics."""
