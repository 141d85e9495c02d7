/** What the function writes for CloudWatch: one line of JSON per event. */

/**
 * Writes `event`, a constant name, with its fields. Not by `console`, before whose lines Lambda's
 * runtime puts columns of its own.
 *
 * @param {string} event
 * @param {Record<string, unknown>} fields
 */
export function log(event, fields) {
  process.stderr.write(`${JSON.stringify({ event, ...fields })}\n`);
}
