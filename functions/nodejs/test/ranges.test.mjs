import assert from 'node:assert/strict';
import { test } from 'node:test';

import { contentRangeOf, evaluate, lengthOf, parse, rangeOf } from '../spillway-lambda/ranges.mjs';

const VERSION = {
  size: 10,
  etag: '"v1"',
  lastModified: new Date(Date.UTC(2026, 10, 2, 10, 0, 0, 500)),
};
const BEFORE = 'Mon, 02 Nov 2026 09:59:59 GMT';
const EXACTLY = 'Mon, 02 Nov 2026 10:00:00 GMT';
const AFTER = 'Mon, 02 Nov 2026 10:00:01 GMT';

/** @param {Record<string, string>} fields */
function judged(fields, version = VERSION, method = 'GET') {
  return evaluate(new Map(Object.entries(fields)), version, method);
}

test('a range is that slice of the source, whatever is asked', () => {
  for (let size = 0; size <= 6; size += 1) {
    const source = [...Array(size).keys()];
    for (let first = 0; first <= 7; first += 1) {
      check(`bytes=${first}-`, source, source.slice(first));
      check(`bytes=-${first}`, source, first ? source.slice(-first) : []);
      for (let last = first; last <= 8; last += 1) {
        check(`bytes=${first}-${last}`, source, source.slice(first, last + 1));
      }
    }
  }
});

/**
 * @param {string} range
 * @param {number[]} source
 * @param {number[]} expected
 */
function check(range, source, expected) {
  const verdict = judged({ range }, { ...VERSION, size: source.length });
  if (!expected.length) {
    assert.deepEqual(verdict, { status: 416 }, range);
    return;
  }
  assert.ok(verdict.part, range);
  assert.equal(verdict.status, 206);
  assert.deepEqual(source.slice(verdict.part.first, verdict.part.last + 1), expected, range);
  assert.equal(lengthOf(verdict.part), expected.length);
}

for (const range of [
  '',
  'bytes',
  'bytes=',
  'bytes=-',
  'bytes=a-b',
  'bytes=5-2',
  'bytes=1-2,4-5',
  'bytes=1-2,',
  'bytes=1-2\n',
  'bytes=0-1 2',
  'items=0-5',
  'bytes=+1-2',
  'bytes=0x1-2',
  'bytes=\u0661-2',
  `bytes=0-${'9'.repeat(5000)}`,
  'bytes=999999999999999999-999999999999999998',
]) {
  test(`several or malformed ranges are ignored: ${JSON.stringify(range.slice(0, 50))}`, () => {
    assert.deepEqual(judged({ range }), { status: 200 });
  });
}

test('the unit is known in any case', () => {
  const part = { first: 2, last: 4, size: 10 };

  assert.deepEqual(judged({ range: 'Bytes=2-4' }), { status: 206, part });
  assert.deepEqual(judged({ range: 'BYTES= 2-4 ' }), { status: 206, part });
  assert.equal(contentRangeOf(part), 'bytes 2-4/10');
});

test('a range means the same however it is passed on, also beyond exact numbers', () => {
  for (const range of ['bytes=0-', 'bytes=-5', 'bytes=3-7', 'bytes=5-999999999999999999']) {
    const asked = parse(range);

    assert.ok(asked);
    assert.deepEqual(parse(rangeOf(asked)), asked);
  }
  assert.equal(judged({ range: 'bytes=5-999999999999999999' }).part?.last, 9);
  assert.equal(judged({ range: 'bytes=999999999999999998-999999999999999999' }).status, 416);
});

test('a range of a HEAD request is ignored', () => {
  assert.equal(judged({ range: 'bytes=50-' }, VERSION, 'HEAD').status, 200);
});

/** @type {[fields: Record<string, string>, status: number][]} */
const CONDITIONS = [
  [{}, 200],
  [{ 'if-match': '"v1"' }, 200],
  [{ 'if-match': '"v0", "v1"' }, 200],
  [{ 'if-match': '*' }, 200],
  [{ 'if-match': '"v2"' }, 412],
  [{ 'if-match': 'v1' }, 412],
  [{ 'if-match': 'W/"v1"' }, 412],
  [{ 'if-none-match': '"v1"' }, 304],
  [{ 'if-none-match': 'W/"v1"' }, 304],
  [{ 'if-none-match': '"v0",W/"v1"' }, 304],
  [{ 'if-none-match': '*' }, 304],
  [{ 'if-none-match': '"v2"' }, 200],
  [{ 'if-none-match': 'v1' }, 200],
  [{ 'if-modified-since': BEFORE }, 200],
  [{ 'if-modified-since': EXACTLY }, 304],
  [{ 'if-modified-since': AFTER }, 304],
  [{ 'if-modified-since': 'yesterday' }, 200],
  [{ 'if-modified-since': '2030-01-01' }, 200],
  [{ 'if-modified-since': 'Mon, 02 Nov 2026 10:00:00 -0000' }, 200],
  [{ 'if-unmodified-since': BEFORE }, 412],
  [{ 'if-unmodified-since': EXACTLY }, 200],
  [{ 'if-unmodified-since': AFTER }, 200],
  [{ 'if-unmodified-since': 'yesterday' }, 200],
  // A tag stands above a date, the precondition of a write above the one of a cache,
  // and both above the range.
  [{ 'if-match': '"v1"', 'if-unmodified-since': BEFORE }, 200],
  [{ 'if-none-match': '"v2"', 'if-modified-since': AFTER }, 200],
  [{ 'if-match': '"v2"', 'if-none-match': '"v1"' }, 412],
  [{ 'if-match': '"v1"', 'if-none-match': '"v1"' }, 304],
  [{ 'if-match': '"v2"', range: 'bytes=50-' }, 412],
  [{ 'if-none-match': '"v1"', range: 'bytes=0-1' }, 304],
  [{ 'if-match': '"v1"', range: 'bytes=50-' }, 416],
  [{ 'if-match': '"v1"', range: 'bytes=0-1' }, 206],
  // If-Range needs the strong tag of this version.
  [{ 'if-range': '"v1"', range: 'bytes=0-1' }, 206],
  [{ 'if-range': '"v2"', range: 'bytes=0-1' }, 200],
  [{ 'if-range': '"v2"', range: 'bytes=50-' }, 200],
  [{ 'if-range': 'W/"v1"', range: 'bytes=0-1' }, 200],
  [{ 'if-range': '"v1", "v2"', range: 'bytes=0-1' }, 200],
  [{ 'if-range': 'v1', range: 'bytes=0-1' }, 200],
  [{ 'if-range': '*', range: 'bytes=0-1' }, 200],
  [{ 'if-range': EXACTLY, range: 'bytes=0-1' }, 200],
];

for (const [fields, status] of CONDITIONS) {
  test(`conditions are judged as the RFC asks: ${JSON.stringify(fields)} is ${status}`, () => {
    assert.equal(judged(fields).status, status);
  });
}

test('an object whose own tag is weak is never continued', () => {
  const weak = { ...VERSION, etag: 'W/"v1"' };

  assert.equal(judged({ range: 'bytes=0-1', 'if-range': 'W/"v1"' }, weak).status, 200);
  assert.equal(judged({ 'if-match': 'W/"v1"' }, weak).status, 412);
  assert.equal(judged({ 'if-none-match': '"v1"' }, weak).status, 304);
});

test('dates are ignored where the object has none', () => {
  const undated = { size: 10, etag: '"v1"' };

  assert.equal(evaluate(new Map([['if-modified-since', AFTER]]), undated).status, 200);
  assert.equal(evaluate(new Map([['if-unmodified-since', BEFORE]]), undated).status, 200);
});
