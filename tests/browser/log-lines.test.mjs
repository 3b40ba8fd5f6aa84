// The lines that a viewer holds.
import assert from "node:assert/strict";
import { test } from "node:test";

import { BLOCK, Lines, MOST } from "../../server/remote_server/web/pages/static/log-lines.js";

const line = (n, k = n, s = "stdout") => ({ n, k, s, t: "", x: `line ${n}` });
const some = (first, count) => Array.from({ length: count }, (_, index) => line(first + index));

test("a line that comes twice is there once, as it came last", () => {
  const lines = new Lines("");
  lines.count(2, 10, 10);
  lines.put([line(1), line(2)]);
  lines.put([{ ...line(2), x: "line 2 went on" }]);
  assert.equal(lines.held.size, 2);
  assert.equal(lines.at(2)?.x, "line 2 went on");
});

test("of one stream lines are at their place in it", () => {
  const lines = new Lines("stderr");
  lines.count(1, 10, 10);
  lines.put([line(7, 1, "stderr"), line(8, 7)]);
  assert.equal(lines.at(1)?.n, 7);
  assert.equal(lines.held.size, 1);
});

test("what is missing is asked for in blocks, forwards and backwards", () => {
  const lines = new Lines("");
  lines.count(1000, 10, 10);
  assert.deepEqual(lines.missing(1, 40), [1, BLOCK]);
  lines.put(some(1, 200));
  assert.equal(lines.missing(1, 200), null);
  assert.deepEqual(lines.missing(190, 230), [201, BLOCK]);
  lines.put(some(601, 400));
  assert.deepEqual(lines.missing(590, 640), [590 - (BLOCK - 11), BLOCK]);
  assert.deepEqual(lines.missing(990, 1040), null);
});

test("what is not counted yet is guessed, and its end is shown", () => {
  const lines = new Lines("");
  lines.ending = some(0, 3).map((one) => ({ ...one, n: 0 }));
  lines.count(100, 1000, 2000);
  assert.equal(lines.total, 200);
  assert.equal(lines.at(200)?.x, "line 2");
  assert.equal(lines.at(198)?.x, "line 0");
  assert.equal(lines.at(197), undefined);
  lines.count(190, 2000, 2000);
  assert.equal(lines.total, 190);
  assert.equal(lines.at(190), undefined);
});

test("what is far away is let go", () => {
  const lines = new Lines("");
  lines.count(100_000, 10, 10);
  lines.put(some(1, MOST + 1));
  lines.trim(10_000);
  assert.ok(lines.held.size <= MOST / 2 + 1);
  assert.ok(lines.at(10_000) && !lines.at(1));
});
