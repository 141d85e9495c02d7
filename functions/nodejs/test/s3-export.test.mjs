/** The export against an S3 by hand, for what the table of both languages does not reach. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { piecesOf, s3Export } from '../spillway-lambda/s3-export.mjs';

/** @import { AddressInfo } from 'node:net' */
/** @import { RequestListener, Server } from 'node:http' */

const CONTEXT = { awsRequestId: 'request-1' };
const EVENT = { requestContext: { http: { method: 'GET' } } };

/** @type {RequestListener} */
let script;
/** @type {Server} */
let server;

beforeEach(async () => {
  server = createServer((request, response) => script(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {AddressInfo} */ (server.address());
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    AWS_REGION: 'eu-central-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'a-test-key',
  });
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test('a redirect of S3 is not passed on, for it leads nowhere', async () => {
  script = (_, response) => {
    response.writeHead(301, { 'Content-Type': 'application/xml' });
    response.end('<Error><Code>PermanentRedirect</Code><Message>words</Message></Error>');
  };

  await assert.rejects(s3Export({ Bucket: 'exports', Key: 'orders.csv' })(EVENT, CONTEXT), {
    name: 'HttpError',
    status: 502,
    code: 'PermanentRedirect',
    message: 'S3 refused the request.',
  });
});

test('a body that is not what was asked for is let go', async () => {
  const part = { 'Content-Length': '1000000', 'Content-Range': 'bytes 0-999999/9999999' };
  /** @type {boolean[]} */
  const finished = [];
  script = (request, response) => {
    const head = request.method === 'HEAD' ? { 'Content-Length': '5' } : part;
    response.on('close', () => finished.push(response.writableFinished));
    response.writeHead(request.method === 'HEAD' ? 200 : 206, { ETag: '"v1"', ...head });
    if (request.method === 'HEAD') response.end();
    else response.write('partly');
  };
  const event = { ...EVENT, headers: { range: 'bytes=0-1' } };

  await assert.rejects(s3Export({ Bucket: 'exports', Key: 'orders.csv' })(event, CONTEXT), {
    code: 's3_answer_mismatch',
  });

  while (finished.length < 3) await setTimeout(5);
  // GET, HEAD, and GET for the version that the head told.
  assert.deepEqual(finished.toSorted(), [false, false, true]);
});

test('a body is let go when its reader leaves', async () => {
  const body = new PassThrough();
  body.write('some bytes');
  const pieces = piecesOf(body, 1000);
  await pieces.next();

  await pieces.return();

  assert.ok(body.destroyed);
});

test('S3 that falls silent midway is an error', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const body = new PassThrough();
  body.write('some bytes');
  const pieces = piecesOf(body, 1000);
  await pieces.next();
  const next = pieces.next();

  t.mock.timers.tick(30_000);

  await assert.rejects(next, { name: 'TruncatedError', message: /990 bytes to go/ });
});

test('a reader that is slow is no reason to give up', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const body = new PassThrough();
  body.write('some bytes');
  const pieces = piecesOf(body, 20);
  await pieces.next();

  t.mock.timers.tick(600_000);
  body.end('more bytes');

  assert.equal(String((await pieces.next()).value), 'more bytes');
  assert.equal((await pieces.next()).done, true);
});
