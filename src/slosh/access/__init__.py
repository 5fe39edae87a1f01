"""Rights to read and publish topics. Nothing here knows of HTTP; time is an argument."""
