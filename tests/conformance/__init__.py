"""What slosh's HTTP/1.1 server does with bytes that other servers got wrong.

`python -m tests.conformance PORT` prints the score of any server that echoes.
"""
