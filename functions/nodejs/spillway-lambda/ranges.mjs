/**
 * Ranges and conditions of a request, against one version of an object (RFC 9110, 13 and 14).
 *
 * @typedef {{ size: number, etag: string, lastModified?: Date }} Version  what identifies the bytes:
 *   their number, a strong entity tag, when they were written
 * @typedef {{ first: number, last: number, size: number }} Part  bytes `first` to `last`, both
 *   included, of `size`
 * @typedef {{ first?: number, last?: number }} Asked  a range as it was asked for; without `first`,
 *   the `last` so many bytes
 * @typedef {{ status: 200 | 206 | 304 | 412 | 416, part?: Part }} Verdict  how to answer; 206 with
 *   the part to send
 * @typedef {{ get(name: string): string | undefined }} Fields  header fields by name in lower case
 */

// More than 18 digits are no position in any object, and are ignored like any other nonsense.
const RANGE = /^bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*$/i;
const STRONG_TAG = /^"[\x21\x23-\x7e]*"$/;
const TAG = /(?:W\/)?"[^"]*"/g;
// Date.parse() would also take what is no date of HTTP.
const DATE = /^[A-Za-z]+, .* GMT$/;

/**
 * How to answer a request with these header fields.
 *
 * @param {Fields} fields
 * @param {Version} version
 * @param {string} [method]
 * @returns {Verdict}
 */
export function evaluate(fields, version, method = 'GET') {
  const refusal = precondition(fields, version);
  if (refusal) return { status: refusal };
  const asked = method === 'GET' ? parse(fields.get('range') ?? '') : undefined;
  if (!asked || !continues(fields.get('if-range') ?? '', version)) return { status: 200 };
  const part = within(asked, version.size);
  return part ? { status: 206, part } : { status: 416 };
}

/**
 * The one range asked for; undefined where the field is absent, malformed or names several.
 *
 * @param {string} field
 * @returns {Asked | undefined}
 */
export function parse(field) {
  const match = RANGE.exec(field);
  if (!match) return undefined;
  const [first, last] = match.slice(1).map((digits) => (digits ? BigInt(digits) : undefined));
  if (first === undefined && last === undefined) return undefined;
  if (first !== undefined && last !== undefined && last < first) return undefined;
  return { first: position(first), last: position(last) };
}

/**
 * The range as a field says it.
 *
 * @param {Asked} asked
 */
export function rangeOf({ first, last }) {
  return `bytes=${first ?? ''}-${last ?? ''}`;
}

/**
 * The part as Content-Range says it.
 *
 * @param {Part} part
 */
export function contentRangeOf({ first, last, size }) {
  return `bytes ${first}-${last}/${size}`;
}

/** @param {Part} part */
export function lengthOf({ first, last }) {
  return last - first + 1;
}

/**
 * Whether `field` is one strong entity tag, and nothing else.
 *
 * @param {string} field
 */
export function isStrongTag(field) {
  return STRONG_TAG.test(field);
}

/**
 * Beyond 2^53 numbers are no longer exact; no object is as long, so that the greatest exact one
 * means the same.
 *
 * @param {bigint | undefined} digits
 */
function position(digits) {
  return digits === undefined ? undefined : Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

/**
 * The bytes that were asked for, in an object of `size` bytes; undefined where there are none.
 *
 * @param {Asked} asked
 * @param {number} size
 * @returns {Part | undefined}
 */
function within(asked, size) {
  const suffix = asked.first === undefined;
  const first = suffix ? Math.max(0, size - (asked.last ?? 0)) : Number(asked.first);
  const last = suffix ? size - 1 : Math.min(asked.last ?? size - 1, size - 1);
  return first <= last ? { first, last, size } : undefined;
}

/**
 * The status that a precondition demands, in the order of RFC 9110, 13.2.2.
 *
 * @param {Fields} fields
 * @param {Version} version
 * @returns {304 | 412 | undefined}
 */
function precondition(fields, version) {
  const ifMatch = fields.get('if-match');
  if (ifMatch) {
    if (!names(ifMatch, version.etag, { weakly: false })) return 412;
  } else if (writtenBy(version, fields.get('if-unmodified-since')) === false) {
    return 412;
  }
  const ifNoneMatch = fields.get('if-none-match');
  if (ifNoneMatch) {
    if (names(ifNoneMatch, version.etag, { weakly: true })) return 304;
  } else if (writtenBy(version, fields.get('if-modified-since'))) {
    return 304;
  }
  return undefined;
}

/**
 * @param {string} condition
 * @param {string} etag
 * @param {{ weakly: boolean }} how
 */
function names(condition, etag, { weakly }) {
  if (condition.trim() === '*') return true;
  /** @type {string[]} */
  const tags = condition.match(TAG) ?? [];
  if (weakly) return tags.map(opaque).includes(opaque(etag));
  return isStrongTag(etag) && tags.includes(etag);
}

/** @param {string} tag */
function opaque(tag) {
  return tag.replace(/^W\//, '');
}

/**
 * Whether the version is no younger than `date`; undefined where that cannot be told.
 *
 * @param {Version} version
 * @param {string | undefined} date
 */
function writtenBy(version, date) {
  if (!date || !version.lastModified || !DATE.test(date)) return undefined;
  const asked = Date.parse(date);
  // Not a date after all: RFC 9110 says to ignore it.
  if (Number.isNaN(asked)) return undefined;
  return Math.floor(version.lastModified.getTime() / 1000) * 1000 <= asked;
}

/**
 * @param {string} ifRange
 * @param {Version} version
 */
function continues(ifRange, version) {
  // A date cannot tell two writes in one second apart, so that only a strong tag lets a client
  // add to what it has. Anything else gets the whole object, which is never wrong.
  return !ifRange || (isStrongTag(ifRange) && ifRange === version.etag);
}
