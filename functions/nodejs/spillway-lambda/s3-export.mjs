/** An S3 object as a streamed response: the export handler. */

import {
  GetObjectCommand,
  HeadObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';

import { headers, method } from './invocation.mjs';
import * as ranges from './ranges.mjs';
import { HttpError } from './streaming.mjs';

/** @import { Readable } from 'node:stream' */
/** @import { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3' */
/** @import { Fields, Part, Verdict, Version } from './ranges.mjs' */
/** @import { Handler, Pieces, Response } from './streaming.mjs' */
/** @typedef {{ Bucket: string, Key: string }} Where */
/** @typedef {{ IfMatch?: string, Range?: string }} Wanted */

const CONNECT_MS = 5_000;
// How long S3 may be silent: before its answer, repeated attempts included, and within a body.
const SILENCE_MS = 30_000;

// S3's own sentences name buckets, accounts and policies; these name the cause.
/** @type {Record<string, string>} */
const SENTENCES = {
  AccessDenied: 'The function may not read the object.',
  InvalidObjectState: 'The object is archived and must be restored first.',
  NoSuchBucket: 'The bucket does not exist.',
  NoSuchKey: 'The object does not exist.',
  PreconditionFailed: 'The object is another version by now.',
  SlowDown: 'S3 asks to slow down. Try again later.',
};
// The answer to a HEAD has no body for S3 to name the error in; the SDK gives its status instead.
/** @type {Record<string, string>} */
const CODES = {
  403: 'AccessDenied',
  404: 'NoSuchKey',
  412: 'PreconditionFailed',
  NotFound: 'NoSuchKey',
};

// What S3 answers where it has judged a condition or a range itself.
const JUDGED = new Set([412, 416]);

/** S3 sent fewer bytes than it announced, or none for too long. */
export class TruncatedError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'TruncatedError';
  }
}

/**
 * The handler for the object that EXPORT_BUCKET and EXPORT_KEY name. Throws without them.
 *
 * @returns {Handler}
 */
export function fromEnvironment() {
  return s3Export({ Bucket: required('EXPORT_BUCKET'), Key: required('EXPORT_KEY') });
}

/** @param {string} name */
function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; it says which object of S3 is the export`);
  return value;
}

/**
 * A handler for one object. Made once, at init, so that its client is warm.
 *
 * @param {Where} where
 * @returns {Handler}
 */
export function s3Export(where) {
  const exported = new ExportedObject(where);
  return async (event) => {
    const asked = method(event);
    if (asked === 'GET' || asked === 'HEAD') return exported.answer(headers(event), asked);
    const more = { headers: { Allow: 'GET, HEAD' } };
    throw new HttpError(405, 'method_not_allowed', 'Use GET or HEAD.', more);
  };
}

class ExportedObject {
  /** @param {Where} where */
  constructor(where) {
    this.where = where;
    this.s3 = new S3Client({
      maxAttempts: 3,
      retryMode: 'standard',
      // No time limit on the socket: it would also run while a slow reader holds the body back.
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: 0 },
    });
  }

  /**
   * The object, or the part asked for. Errors of S3 keep their own status.
   *
   * @param {Fields} fields
   * @param {'GET' | 'HEAD'} asked
   * @returns {Promise<Response>}
   */
  async answer(fields, asked) {
    const early = asked === 'GET' ? await this.inOneCall(fields) : undefined;
    if (early) return early;
    const found = await this.head();
    const version = versionOf(found);
    const verdict = ranges.evaluate(fields, version, asked);
    if (verdict.status >= 300) return withoutObject(verdict.status, version);
    if (asked === 'HEAD') return { status: 200, headers: fieldsOf(found) };
    // Pinned to the version that was judged: one written since is a 412, and never spliced in.
    const response = await this.get(
      { IfMatch: version.etag, Range: verdict.part && ranges.rangeOf(verdict.part) },
      (got) => (got.etag === version.etag ? verdict : undefined),
    );
    if (response) return response;
    throw new HttpError(502, 's3_answer_mismatch', 'S3 answered with another part or version.');
  }

  /**
   * The answer by GetObject alone; undefined where that cannot tell it.
   *
   * Most requests ask for everything, or for a range of the version that they know by its tag. S3
   * can judge these, and its answer has head and body of one version, so that a HeadObject would
   * only add its latency to every segment of a parallel download. All that S3 refuses or does not
   * judge as RFC 9110 wants it (lists of tags, dates, an `If-Range` that differs, the size that a
   * 416 states) is left to the caller, who asks for the head first.
   *
   * @param {Fields} fields
   */
  async inOneCall(fields) {
    const wanted = wantedOf(fields);
    if (!wanted) return undefined;
    try {
      return await this.get(wanted, (got) => ranges.evaluate(fields, got));
    } catch (error) {
      if (error instanceof HttpError && JUDGED.has(error.status)) return undefined;
      throw error;
    }
  }

  /** @returns {Promise<HeadObjectCommandOutput>} */
  head() {
    return answered((until) => this.s3.send(new HeadObjectCommand(this.where), until));
  }

  /**
   * GetObject's answer; undefined where it is not what is `expected` for the version it is of.
   *
   * @param {Wanted} wanted
   * @param {(got: Version) => Verdict | undefined} expected
   * @returns {Promise<Response | undefined>}
   */
  async get(wanted, expected) {
    const command = new GetObjectCommand({ ...this.where, ...wanted });
    const found = await answered((until) => this.s3.send(command, until));
    const body = /** @type {Readable} */ (found.Body);
    try {
      const part = partOf(found);
      const verdict = expected(versionOf(found));
      if (verdict && fits(verdict, part)) return responseOf(found, part, body);
    } catch (error) {
      body.destroy();
      throw error;
    }
    body.destroy();
    return undefined;
  }
}

/**
 * What S3 answers to `call`. Throws `HttpError` for its errors, and where there is no answer.
 *
 * @template T
 * @param {(until: { abortSignal: AbortSignal }) => Promise<T>} call
 * @returns {Promise<T>}
 */
async function answered(call) {
  const abort = new AbortController();
  const clock = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    return await call({ abortSignal: abort.signal });
  } catch (cause) {
    if (cause instanceof S3ServiceException) throw translated(cause);
    throw new HttpError(502, 's3_unreachable', 'S3 could not be asked.', { cause });
  } finally {
    clearTimeout(clock);
  }
}

/**
 * What GetObject must be told for S3 to judge the request; undefined where it could not.
 *
 * @param {Fields} fields
 * @returns {Wanted | undefined}
 */
function wantedOf(fields) {
  const dated = ['if-none-match', 'if-modified-since', 'if-unmodified-since'];
  if (dated.some((name) => fields.get(name))) return undefined;
  const tags = new Set([fields.get('if-match'), fields.get('if-range')].filter((tag) => !!tag));
  const [tag] = tags;
  if (tags.size > 1 || (tag && !ranges.isStrongTag(tag))) return undefined;
  const asked = ranges.parse(fields.get('range') ?? '');
  return { IfMatch: tag, Range: asked && ranges.rangeOf(asked) };
}

/**
 * Which part of the object S3 answers with; undefined for all of it.
 *
 * @param {{ ContentRange?: string }} found
 * @returns {Part | undefined}
 */
function partOf(found) {
  const stated = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+)$/.exec(found.ContentRange ?? '');
  if (!stated) return undefined;
  const [first, last, size] = stated.slice(1).map(Number);
  return { first, last, size };
}

/**
 * @param {Verdict} verdict
 * @param {Part | undefined} part
 */
function fits(verdict, part) {
  const { status, part: wanted } = verdict;
  if (!part) return status === 200;
  return (
    status === 206 &&
    part.first === wanted?.first &&
    part.last === wanted.last &&
    part.size === wanted.size
  );
}

/**
 * @param {HeadObjectCommandOutput | GetObjectCommandOutput} found
 * @returns {Version}
 */
function versionOf(found) {
  const size = partOf(found)?.size ?? found.ContentLength;
  if (size === undefined || !found.ETag) {
    // A head that was cut, or something else than S3.
    throw new HttpError(502, 's3_answer_incomplete', "S3's answer lacks its length or its tag.");
  }
  return { size, etag: found.ETag, lastModified: found.LastModified };
}

/**
 * @param {GetObjectCommandOutput} found
 * @param {Part | undefined} part
 * @param {Readable} body
 * @returns {Response}
 */
function responseOf(found, part, body) {
  const fields = fieldsOf(found, part);
  const length = Number(fields['Content-Length']);
  return { status: part ? 206 : 200, headers: fields, body: piecesOf(body, length) };
}

/**
 * @param {number} status
 * @param {Version} version
 * @returns {Response}
 */
function withoutObject(status, version) {
  if (status === 304) return { status, headers: validators(version) };
  if (status === 412) throw new HttpError(412, 'PreconditionFailed', SENTENCES.PreconditionFailed);
  const more = { headers: { 'Content-Range': `bytes */${version.size}` } };
  throw new HttpError(status, 'InvalidRange', 'The object has no such bytes.', more);
}

/**
 * @param {HeadObjectCommandOutput | GetObjectCommandOutput} found
 * @param {Part} [part]
 */
function fieldsOf(found, part) {
  /** @type {Record<string, string>} */
  const fields = {
    ...validators(versionOf(found)),
    'Content-Type': found.ContentType || 'application/octet-stream',
    'Content-Length': String(part ? ranges.lengthOf(part) : found.ContentLength),
    'Accept-Ranges': 'bytes',
  };
  if (found.ContentEncoding) fields['Content-Encoding'] = found.ContentEncoding;
  if (part) fields['Content-Range'] = ranges.contentRangeOf(part);
  return fields;
}

/** @param {Version} version */
function validators(version) {
  /** @type {Record<string, string>} */
  const fields = { ETag: version.etag };
  if (version.lastModified) fields['Last-Modified'] = version.lastModified.toUTCString();
  return fields;
}

/**
 * `length` bytes of the body. Throws `TruncatedError` where it ends early or falls silent.
 *
 * @param {Readable} body
 * @param {number} length
 * @returns {Pieces}
 */
export async function* piecesOf(body, length) {
  let left = length;
  const silent = () => body.destroy(new TruncatedError(`S3 fell silent with ${left} bytes to go`));
  // Runs while S3 is waited for, not while a slow reader holds the generator.
  let clock = setTimeout(silent, SILENCE_MS);
  try {
    for await (const chunk of left ? body : []) {
      clearTimeout(clock);
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      yield piece;
      if (!left) return;
      clock = setTimeout(silent, SILENCE_MS);
    }
    if (left) throw new TruncatedError(`S3 ended ${left} bytes too early`);
  } finally {
    clearTimeout(clock);
    body.destroy();
  }
}

/**
 * S3's error under its own status and code, without S3's words.
 *
 * @param {S3ServiceException} cause
 */
function translated(cause) {
  const status = cause.$metadata.httpStatusCode ?? 0;
  let code = CODES[cause.name] ?? cause.name;
  if (!/^[A-Za-z][A-Za-z0-9.]{0,63}$/.test(code)) code = 'S3Error';
  // A redirect (a bucket of another region) would be one without a place to go.
  const known = status >= 400 && status < 600;
  const sentence = SENTENCES[code] ?? 'S3 refused the request.';
  return new HttpError(known ? status : 502, code, sentence, { cause });
}
