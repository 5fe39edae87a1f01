// The parts and the trees of two scripts, by the parser that node has in itself: run with --expose-internals. Says where they differ first.
const { readFileSync } = require("node:fs");
const acorn = require("internal/deps/acorn/acorn/dist/acorn");

const options = { ecmaVersion: "latest", sourceType: "module" };
const pairs = JSON.parse(readFileSync(0, "utf8"));
for (const [name, ...texts] of pairs) {
  const [one, other] = texts.map((text) => [...acorn.tokenizer(text, options)].map(({ type, value }) => [type.label, value?.pattern ?? value]));
  const trees = texts.map((text) => JSON.stringify(acorn.parse(text, options), (name, value) => (["start", "end", "raw"].includes(name) ? undefined : value)));
  const at = one.findIndex((token, i) => JSON.stringify(token) !== JSON.stringify(other[i]));
  if (at >= 0 || one.length !== other.length || trees[0] !== trees[1]) console.log(name, at, one.slice(at, at + 5), other.slice(at, at + 5));
}
