#!/bin/sh
# curl -N on Server-Sent Events: prints each message on a line of its own, and comes back with Last-Event-ID when it
# is cut off. An event counts when it is whole, that is at its empty line, as the standard has it.
id=
trap 'kill $! 2>/dev/null; exit' TERM INT
while :; do
    fifo=$(mktemp -u) && mkfifo "$fifo"
    curl -sN ${id:+-H "Last-Event-ID: $id"} "$1?format=sse" > "$fifo" &
    new= data= event=
    while IFS= read -r line; do
        case $line in
            "id: "*) new=${line#id: } ;;
            "event: "*) event=${line#event: } ;;
            "data: "*) data=${line#data: } ;;
            "") [ -n "$data" ] && [ -z "$event" ] && printf '%s\n' "$data"; id=${new:-$id} data= event= ;;
        esac
    done < "$fifo"
    rm -f "$fifo"
    sleep 0.05
done
