import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';

import { admits, guarded } from '../spillway-lambda/guard.mjs';

const NAMES = ['SECRET_HEADER', 'SECRET_HEADER_NEXT', 'SECRET_HEADER_NAME'];
const CONTEXT = { awsRequestId: 'request-1' };

/** @typedef {string | undefined} Value */
/** @type {[current: Value, upcoming: Value, presented: string, admitted: boolean][]} */
const TABLE = [
  // One value.
  ['right', undefined, 'right', true],
  ['right', '', 'right', true],
  ['right', undefined, 'wrong', false],
  ['right', undefined, 'righ', false],
  ['right', undefined, 'right ', false],
  ['right', undefined, 'RIGHT', false],
  ['right', undefined, '', false],
  // Two values, while a rotation is under way.
  ['right', 'next', 'right', true],
  ['right', 'next', 'next', true],
  ['right', 'next', 'wrong', false],
  ['right', 'next', '', false],
  ['right', 'next', 'rightnext', false],
  ['same', 'same', 'same', true],
  // An empty value never matches.
  ['right', '', '', false],
  // Without the variable nobody is admitted.
  [undefined, undefined, '', false],
  [undefined, undefined, 'undefined', false],
  [undefined, undefined, 'null', false],
  ['', undefined, '', false],
  ['', '', '', false],
  ['', undefined, 'any', false],
  [undefined, 'next', 'next', false],
  ['', 'next', 'next', false],
  // Not ASCII, and not even text.
  ['schlüssel', undefined, 'schlüssel', true],
  ['schlüssel', undefined, 'schlussel', false],
  ['\ufffd', undefined, '\ud800', false],
];

/** @param {Record<string, string | undefined>} environment */
function set(environment) {
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined) process.env[name] = value;
  }
}

/** @param {Record<string, unknown>} fields */
async function statusFor(fields, named = {}) {
  const handler = guarded(async () => ({ status: 200 }), named);
  return (await handler({ headers: fields }, CONTEXT)).status;
}

describe('the guard', () => {
  afterEach(() => NAMES.forEach((name) => delete process.env[name]));

  for (const [current, upcoming, presented, admitted] of TABLE) {
    const values = JSON.stringify([current, upcoming]);
    test(`with ${values}, ${JSON.stringify(presented)} is admitted: ${admitted}`, () => {
      set({ SECRET_HEADER: current, SECRET_HEADER_NEXT: upcoming });

      assert.equal(admits(presented), admitted);
    });
  }

  test('refuses an event without the header', async () => {
    set({ SECRET_HEADER: 'undefined' });

    assert.equal(await statusFor({}), 403);
    assert.equal(await statusFor({ 'x-secret-header': null }), 403);
    assert.equal(await statusFor({ 'x-secret-header': ['undefined'] }), 403);
    assert.equal((await guarded(async () => ({ status: 200 }))({}, CONTEXT)).status, 403);
  });

  test('takes the names of header and variable from the handler', async () => {
    set({ ORDERS_KEY: 'current', ORDERS_KEY_NEXT: 'next' });
    const named = { header: 'X-Orders-Key', variable: 'ORDERS_KEY' };

    assert.equal(await statusFor({ 'x-orders-key': 'current' }, named), 200);
    assert.equal(await statusFor({ 'x-orders-key': 'next' }, named), 200);
    assert.equal(await statusFor({ 'x-secret-header': 'current' }, named), 403);
  });

  test('takes the name of the header from the environment', async () => {
    set({ SECRET_HEADER: 'right', SECRET_HEADER_NAME: 'X-Origin-Key' });

    assert.equal(await statusFor({ 'x-origin-key': 'right' }), 200);
    assert.equal(await statusFor({ 'x-secret-header': 'right' }), 403);
  });

  test('is not fooled by the names of what every object has', async () => {
    set({ SECRET_HEADER: 'right', SECRET_HEADER_NAME: 'constructor' });

    assert.equal(await statusFor({}), 403);
  });
});
