// What a terminal would show of a line.
import assert from "node:assert/strict";
import { test } from "node:test";

import { cook, plain } from "../../server/remote_server/web/pages/static/ansi.js";

const shown = (text) => plain(cook(text));
const looks = (text) => cook(text).spans.map(({ text, style }) => [text, style]);

test("plain text is one span, nothing none", () => {
  assert.deepEqual(looks("a <b> &amp;\tc"), [["a <b> &amp;\tc", ""]]);
  assert.deepEqual(looks(""), []);
});

test("a carriage return at the end is that of a line end", () => {
  assert.deepEqual(cook("text\r"), { spans: [{ text: "text", style: "" }], redraws: 0 });
});

test("carriage return, backspace and erasing overwrite", () => {
  assert.equal(shown("long text\rshort"), "shorttext");
  assert.equal(shown("long text\rshort\x1b[K"), "short");
  assert.equal(shown("abc\b\bX"), "aXc");
  assert.equal(shown("abcdef\x1b[3D\x1b[1K."), "   .ef");
  assert.equal(shown("abc\x1b[2K\x1b[1Gx"), "x");
  assert.equal(shown("abcdef\x1b[2G\x1b[2Px"), "axef");
  assert.equal(shown("abc\x1b[1G\x1b[2@"), "  abc");
  assert.equal(shown("abc\x1b[1G\x1b[2X"), "  c");
  assert.equal(shown("a\x1b[3Cb"), "a   b");
  assert.equal(shown("\ra\tb\rxy"), "xy      b");
});

test("redraws are counted", () => {
  assert.equal(cook("\r10 %\r20 %\r30 %").redraws, 3);
});

test("colours, bright ones, grounds, and back to none", () => {
  assert.deepEqual(looks("\x1b[31mred\x1b[0m no \x1b[92mgreen\x1b[39m \x1b[41mground\x1b[49m."), [
    ["red", "a1"], [" no ", ""], ["green", "a10"], [" ", ""], ["ground", "b1"], [".", ""],
  ]);
});

test("weight, slant, lines and reversal, and their ends", () => {
  assert.deepEqual(looks("\x1b[1;3;4mx\x1b[22;23my\x1b[24mz\x1b[7mr\x1b[27m\x1b[9ms\x1b[m."), [
    ["x", "ab ai au"], ["y", "au"], ["z", ""], ["r", "ar"], ["s", "as"], [".", ""],
  ]);
});

test("of 256 and of all colours the nearest of sixteen", () => {
  const styles = (text) => looks(text).map(([, style]) => style);
  assert.deepEqual(styles("\x1b[38;5;1mx"), ["a1"]);
  assert.deepEqual(styles("\x1b[38;5;196mx"), ["a9"]);
  assert.deepEqual(styles("\x1b[38;5;255mx"), ["a7"]);
  assert.deepEqual(styles("\x1b[38;2;0;0;250;1mx"), ["a4 ab"]);
  assert.deepEqual(styles("\x1b[48:5:2mx"), ["b2"]);
});

test("what moves elsewhere, sets titles or links leaves no trace", () => {
  assert.equal(shown("\x1b[?25l\x1b[2Aa\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1b]8;;\x1b\\\x1b(Bd\x1b7\x07\x00"), "abcd");
  assert.equal(shown("a\x1b"), "a");
  assert.equal(shown("\x1b[>4;1mx"), "x");
});

test("colours after text was drawn over stay with their characters", () => {
  assert.deepEqual(looks("\x1b[32mdone\x1b[0m...\rDO"), [["DO", ""], ["ne", "a2"], ["...", ""]]);
});

test("characters beyond the first plane are one place", () => {
  assert.equal(shown("\u{1f600}\u{1f600}\b.\r"), "\u{1f600}.");
});

test("nothing grows without bound", () => {
  assert.ok(shown("\x1b[999999999Cx").length <= 20_001);
  assert.ok(shown("a\x1b[1G" + "\x1b[99999@".repeat(50)).length <= 20_001);
  const long = "\x1b[1mx\r".repeat(50_000);
  assert.equal(shown(long + "y"), "y");
});

test("thousands of sequences in a line take no longer than others, and the text stays", () => {
  const many = (sequence) => sequence.repeat(20_000);
  assert.ok(shown(many("a\x1b[1G\x1b[99999@") + "\x1b[1Gend").startsWith("end"));
  assert.ok(shown(many("\x1b[2K\x1b[20000Cx") + "\x1b[1Gend").startsWith("end"));
  assert.ok(shown(many("\x1b[20000Cx\x1b[1G\x1b[99999X") + "end").startsWith("end"));
  assert.equal(shown("\x1b[31m".repeat(100_000) + "red"), "red");
});
