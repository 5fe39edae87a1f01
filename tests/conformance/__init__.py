"""What slosh's HTTP/1.1 edge does with bytes that other servers got wrong.

`python -m conformance PORT` (run in `tests/`) prints the score of any server that echoes.
"""
