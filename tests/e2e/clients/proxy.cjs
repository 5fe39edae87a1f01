// express with compression in front of the server that is named: prints its port once it listens.
const compression = require("compression");
const express = require("express");
const { createProxyMiddleware } = require("http-proxy-middleware");

const app = express();
app.use(compression());
app.use(createProxyMiddleware({ target: process.argv[2] }));
const server = app.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
