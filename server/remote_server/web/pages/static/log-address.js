// Lines in addresses: #L120, #L120-L140. Pure.
// @ts-check

/** @typedef {{ first: number, last: number }} Range */

/**
 * @param {string} hash
 * @returns {Range | null}
 */
export function linesOf(hash) {
  const found = /^#?L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash);
  if (!found) return null;
  const ends = [Number(found[1]), Number(found[2] ?? found[1])];
  const range = { first: Math.min(...ends), last: Math.max(...ends) };
  return range.first >= 1 ? range : null;
}

/** @param {Range | null} range */
export function hashOf(range) {
  if (!range) return "";
  return range.first === range.last ? `#L${range.first}` : `#L${range.first}-L${range.last}`;
}

/**
 * The address of lines for others: it always names the attempt.
 * @param {string} page
 * @param {string | number} attempt
 * @param {Range | null} range
 */
export function linkOf(page, attempt, range) {
  const address = new URL(page);
  address.search = `?attempt=${attempt}`;
  address.hash = hashOf(range);
  return address.href;
}
