"""What to change, for each fault that `slosh doctor` finds: the line for nginx, HAProxy and Caddy."""

from typing import Final

FRONTS: Final = ("nginx", "HAProxy", "Caddy")

REMEDIES: Final[dict[str, dict[str, str]]] = {
    "streams": {
        "nginx": "take out `proxy_ignore_headers X-Accel-Buffering`, or write `proxy_buffering off;`",
        "HAProxy": "HAProxy passes on at once; look for a filter or a Lua script that gathers bodies",
        "Caddy": "`reverse_proxy … { flush_interval -1 }`",
    },
    "compression": {
        "nginx": "take `text/event-stream` out of `gzip_types` (and `*` with it)",
        "HAProxy": "take `text/event-stream` out of `compression type`",
        "Caddy": "`encode { match { not header Content-Type text/event-stream* } }`",
    },
    "held polls": {
        "nginx": "`proxy_read_timeout 60s;`, and start slosh with `--max-wait 50s`",
        "HAProxy": "`timeout server 60s` and `timeout client 60s`, and start slosh with `--max-wait 50s`",
        "Caddy": "`reverse_proxy … { transport http { response_header_timeout 60s } }`, and `--max-wait 50s`",
    },
    "WebSocket": {
        "nginx": "`proxy_http_version 1.1;`, and `proxy_set_header` of Upgrade (`$http_upgrade`) and Connection",
        "HAProxy": "do not delete `Upgrade` and `Connection`; `timeout tunnel 1h`",
        "Caddy": "nothing is needed; look for a `header_up -Upgrade`",
    },
    "own pages": {
        "nginx": "`proxy_set_header Host $http_host;`",
        "HAProxy": "take out `http-request set-header Host …`; HAProxy passes on the client's",
        "Caddy": "take out `header_up Host …`; Caddy passes on the client's",
    },
    "cookies": {
        "nginx": "`proxy_set_header X-Forwarded-Prefix /the-prefix;`, no `proxy_hide_header Set-Cookie`",
        "HAProxy": "`http-request set-header X-Forwarded-Prefix /the-prefix`, and leave `Set-Cookie` alone",
        "Caddy": "`handle_path /the-prefix/* { reverse_proxy … { header_up X-Forwarded-Prefix /the-prefix } }`",
    },
    "CORS": {
        "nginx": "take out `add_header Access-Control-Allow-Origin …`; the setting `origins` of slosh does it",
        "HAProxy": "take out `http-response add-header Access-Control-Allow-Origin`; the setting `origins` does it",
        "Caddy": "take out `header Access-Control-Allow-Origin …`; slosh's setting `origins` does it",
    },
    "large messages": {
        "nginx": "`client_max_body_size 8m;`",
        "HAProxy": "take out the rule on `req.body_size` or `Content-Length`",
        "Caddy": "`request_body { max_size 8MB }`",
    },
    "long addresses": {
        "nginx": "`large_client_header_buffers 4 16k;`",
        "HAProxy": "`tune.bufsize 16384` or more, in `global`",
        "Caddy": "`servers { max_header_size 16KB }`, among the global options",
    },
    "caching": {
        "nginx": "`proxy_cache off;` for slosh, and no `proxy_ignore_headers Cache-Control`",
        "HAProxy": "no `http-request cache-use` for slosh",
        "Caddy": "no `cache` for slosh's paths",
    },
    "clients that leave": {
        "nginx": "take out `proxy_ignore_client_abort on;`",
        "HAProxy": "`option abortonclose`",
        "Caddy": "nothing is needed; look at what stands between Caddy and slosh",
    },
    "topics' names": {
        "nginx": "`proxy_pass http://slosh;` without a path behind it, so that the address is passed on as it came",
        "HAProxy": "no `http-request normalize-uri` and no `url_dec` for slosh",
        "Caddy": "no `uri` rewriting behind slosh's prefix",
    },
}
