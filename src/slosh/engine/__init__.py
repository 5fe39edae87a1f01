"""Where messages live: the promises that every engine makes (`base`), and the engines."""
