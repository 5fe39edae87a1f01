/** Brings the client, as the server serves it, beside package.json before it is packed. */

import { cpSync } from "node:fs";

const source = new URL("../src/slosh/web/static/", import.meta.url);
for (const name of ["slosh.js", "slosh.d.ts", "slosh"]) cpSync(new URL(name, source), new URL(name, import.meta.url), { recursive: true });
