"""What slosh is about, as pure code: topics, cursors, who waits for what, and what a reader gets.

Nothing in here knows a socket, a clock, an event loop, an engine or HTTP. Time comes in as an
argument, in seconds on a clock that never goes back; waking up is a function that is handed in.
"""
