// Looking for words, part by part.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Search } from "../../server/remote_server/web/pages/static/log-find.js";

const answers = (...found) => {
  const asked = [];
  const ask = async (query) => {
    asked.push(query);
    return found[Math.min(asked.length, found.length) - 1];
  };
  return { ask, asked };
};

test("parts are joined, a line that is found twice is there once", async () => {
  const { ask, asked } = answers(
    { hits: [[3, 3], [9, 9]], at: 50, size: 100, done: false },
    { hits: [[9, 9], [5, 5], [12, 12]], at: 100, size: 100, done: true },
  );
  const search = new Search(ask, () => {});
  await search.start("x", 4);
  assert.deepEqual(asked, [{ words: "x", offset: 0 }, { words: "x", offset: 50 }]);
  assert.deepEqual(search.hits, [3, 5, 9, 12]);
  assert.equal(search.said, "3 of 4");
  assert.equal(search.line, 9);
});

test("steps go round", async () => {
  const { ask } = answers({ hits: [[1, 1], [2, 2]], at: 9, size: 9, done: true });
  const search = new Search(ask, () => {});
  await search.start("x", 2);
  assert.equal(search.line, 2);
  search.step(1);
  assert.equal(search.line, 1);
  search.step(-1);
  assert.equal(search.line, 2);
});

test("nothing, and a server that refuses", async () => {
  const { ask } = answers({ hits: [], at: 9, size: 9, done: true });
  const search = new Search(ask, () => {});
  await search.start("x", 1);
  assert.equal(search.said, "none");
  const refused = new Search(async () => {
    throw new Error("the log cannot be read now");
  }, () => {});
  await refused.start("x", 1);
  assert.equal(refused.said, "the log cannot be read now");
});

test("other words end the search for the first ones", async () => {
  let asked = 0;
  const search = new Search(async ({ words }) => {
    asked += 1;
    return { hits: words === "b" ? [[7, 7]] : [[1, 1]], at: asked, size: 1e9, done: words === "b" };
  }, () => {});
  const first = search.start("a", 1);
  const second = search.start("b", 1);
  await Promise.all([first, second]);
  assert.deepEqual(search.hits, [7]);
});
