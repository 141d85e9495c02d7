/** What Lambda's managed Node.js runtime puts into the global scope. For the type checker alone. */

import type { Writable } from 'node:stream';
import type { Context, Event } from './spillway-lambda/invocation.mjs';

type StreamingHandler = (event: Event, stream: Writable, context: Context) => Promise<void>;

declare global {
  var awslambda: {
    streamifyResponse(handler: StreamingHandler): StreamingHandler;
    HttpResponseStream: { from(stream: Writable, metadata: object): Writable };
  };
}
