"""Topics that many nodes share, over Redis or Valkey."""
