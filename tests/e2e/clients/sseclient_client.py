"""sseclient on Server-Sent Events: prints each message on a line of its own, and comes back by itself."""

import io
import sys

from sseclient import SSEClient

lines, sys.stdout = sys.stdout, io.StringIO()  # the library prints why it was cut off
for event in SSEClient(sys.argv[1]):
    if event.event == "message":
        print(event.data, file=lines, flush=True)
