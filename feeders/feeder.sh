#!/bin/sh
# A feeder that sleeps until somebody watches:  sh feeders/feeder.sh http://127.0.0.1:8000/topics/load
while sleep 1; do
    curl -sf "$1?watchers&wait=60" | grep -q '[1-9]' || continue
    while curl -sf -d "$(cut -d' ' -f1 /proc/loadavg)" "$1" > /dev/null; do sleep 1; done
done
