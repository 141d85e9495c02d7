/** The secret header: who may call. Fails closed. */

import { createHash, timingSafeEqual } from 'node:crypto';

import { headers } from './invocation.mjs';
import { log } from './logs.mjs';
import { HttpError } from './streaming.mjs';

/** @import { Handler } from './streaming.mjs' */

const HEADER = 'x-secret-header';
const VARIABLE = 'SECRET_HEADER';

/**
 * `handler`, for those only who bear the secret; everybody else gets a 403 and is logged.
 *
 * The header's name is `header`, else what SECRET_HEADER_NAME says, else `x-secret-header`.
 *
 * @param {Handler} handler
 * @param {{ header?: string, variable?: string }} [named]
 * @returns {Handler}
 */
export function guarded(handler, { header, variable = VARIABLE } = {}) {
  return async (event, context) => {
    const name = header || process.env.SECRET_HEADER_NAME || HEADER;
    if (admits(headers(event).get(name.toLowerCase()) ?? '', variable)) {
      return handler(event, context);
    }
    log('refused', {
      request_id: context.awsRequestId,
      // Tells a forgotten variable from a wrong caller.
      secret_set: Boolean(process.env[variable]),
    });
    return new HttpError(403, 'forbidden', 'The secret header is missing or wrong.').response();
  };
}

/**
 * Whether `presented` is one of the two values that the environment holds.
 *
 * `<variable>_NEXT` counts beside `<variable>` while a rotation is under way, never alone.
 *
 * @param {string} presented
 * @param {string} [variable]
 * @returns {boolean}
 */
export function admits(presented, variable = VARIABLE) {
  const current = process.env[variable] ?? '';
  const upcoming = process.env[`${variable}_NEXT`] ?? '';
  // Both are always compared, so that the time taken does not tell which one came close.
  const isCurrent = equal(current, presented);
  const isUpcoming = equal(upcoming, presented);
  return current !== '' && presented !== '' && (isCurrent || isUpcoming);
}

/**
 * In constant time: digests are of one length, whatever was presented.
 *
 * @param {string} first
 * @param {string} second
 */
function equal(first, second) {
  return timingSafeEqual(digest(first), digest(second));
}

/** @param {string} text */
function digest(text) {
  // UTF-16, for JSON may hold lone surrogates, which UTF-8 would make equal to one another.
  return createHash('sha256').update(text, 'utf16le').digest();
}
