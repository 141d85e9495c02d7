/**
 * What a handler answers, and how it goes out: status and header fields first, then the body.
 *
 * @typedef {{
 *   status: number,
 *   headers?: Record<string, string>,
 *   cookies?: string[],
 *   body?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
 * }} Response  a body that is a generator, or a stream, is closed however the response ends
 * @typedef {(event: Event, context: Context) => Promise<Response>} Handler
 * @typedef {AsyncGenerator<Uint8Array, void, undefined>} Pieces
 */

import { pipeline } from 'node:stream/promises';

import { method } from './invocation.mjs';
import { log } from './logs.mjs';

/** @import { Context, Event } from './invocation.mjs' */

const BODILESS = new Set([204, 304]);

/** Thrown before the first byte: becomes a small JSON body under its own status. */
export class HttpError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {{ headers?: Record<string, string>, cause?: unknown }} [more]
   */
  constructor(status, code, message, { headers = {}, cause } = {}) {
    super(message, { cause });
    this.name = 'HttpError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }

  /** @returns {Response} */
  response() {
    const body = Buffer.from(JSON.stringify({ error: { code: this.code, message: this.message } }));
    const fields = {
      'Content-Type': 'application/json',
      'Content-Length': String(body.length),
      'Cache-Control': 'no-store',
    };
    return { status: this.status, headers: { ...fields, ...this.headers }, body: [body] };
  }
}

/**
 * Makes Lambda's own kind of handler of one that answers a `Response`.
 *
 * What the handler throws after the first bytes goes to Lambda's runtime, which reports it in
 * trailers: the status is out, and a message in the body would be taken for data.
 *
 * @param {Handler} handler
 */
export function streamed(handler) {
  return awslambda.streamifyResponse(async (event, stream, context) => {
    const { head, pieces } = await begun(handler, event, context);
    const out = awslambda.HttpResponseStream.from(stream, head);
    // The metadata goes out with the first write and only then: a response that just ended would
    // have none, and its caller would wait. An empty write adds nothing to the body.
    out.write('');
    // Not ended, and so not destroyed, by the pipeline: of a destroyed stream the runtime cannot
    // report what went wrong, and it ends its process instead.
    await pipeline(pieces, out, { end: false });
    out.end();
  });
}

/**
 * The metadata and the body. Until these are here, an error can have its own status.
 *
 * @param {Handler} handler
 * @param {Event} event
 * @param {Context} context
 */
async function begun(handler, event, context) {
  const headOnly = method(event) === 'HEAD';
  try {
    return await opened(await handler(event, context), headOnly);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    log('http_error', {
      request_id: context.awsRequestId,
      status: error.status,
      code: error.code,
      cause: error.cause instanceof Error ? error.cause.name : null,
    });
    return opened(error.response(), headOnly);
  }
}

/**
 * The response, held back until its first bytes are here.
 *
 * @param {Response} response
 * @param {boolean} headOnly
 */
async function opened(response, headOnly) {
  const bodiless = headOnly || BODILESS.has(response.status);
  const body = each(response.body ?? []);
  const first = bodiless ? await body.return() : await body.next();
  const head = {
    statusCode: response.status,
    headers: response.headers ?? {},
    cookies: response.cookies ?? [],
  };
  return { head, pieces: joined(first, body) };
}

/**
 * @param {NonNullable<Response['body']>} body
 * @returns {Pieces}
 */
async function* each(body) {
  yield* body;
}

/**
 * @param {IteratorResult<Uint8Array, void>} first
 * @param {Pieces} rest
 * @returns {Pieces}
 */
async function* joined(first, rest) {
  if (first.done) return;
  yield first.value;
  yield* rest;
}
