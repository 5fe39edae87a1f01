// A Faye server with its own in-memory engine: `node faye_app.cjs PORT`. Faye is found through NODE_PATH.
"use strict";
const http = require("http");
const faye = require("faye");

const server = http.createServer((_request, response) => response.writeHead(404).end());
server.keepAliveTimeout = server.requestTimeout = server.headersTimeout = 0; // a held poll is no idle connection
new faye.NodeAdapter({ mount: "/bayeux", timeout: 600 }).attach(server); // held for ten minutes: no run is as long
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
