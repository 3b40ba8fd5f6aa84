// Lines in addresses.
import assert from "node:assert/strict";
import { test } from "node:test";

import { hashOf, linesOf, linkOf } from "../../server/remote_server/web/pages/static/log-address.js";

test("a line, a range, a range the other way round, and what is none", () => {
  assert.deepEqual(linesOf("#L120"), { first: 120, last: 120 });
  assert.deepEqual(linesOf("#L120-L140"), { first: 120, last: 140 });
  assert.deepEqual(linesOf("#L140-120"), { first: 120, last: 140 });
  for (const none of ["", "#", "#main", "#L", "#L0", "#L1-", "#L1-L2-L3", "#L1e3", `#L${"9".repeat(16)}`]) {
    assert.equal(linesOf(none), null, none);
  }
});

test("there and back", () => {
  for (const hash of ["#L1", "#L5-L7", ""]) assert.equal(hashOf(linesOf(hash)), hash);
});

test("a link names the attempt and nothing else of the address", () => {
  const page = "https://x/base/jobs/J?attempt=1&done=changed#L9";
  assert.equal(linkOf(page, 2, { first: 3, last: 4 }), "https://x/base/jobs/J?attempt=2#L3-L4");
  assert.equal(linkOf(page, 2, null), "https://x/base/jobs/J?attempt=2");
});
