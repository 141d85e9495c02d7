/**
 * The deployable handlers, named by the function's setting "handler".
 *
 * `app.handler` streams an S3 object to those who bear the secret header. `app.export` asks for no
 * secret: only for functions that nobody can call unsigned (AWS_IAM, or direct invocation).
 */

import { guarded } from './spillway-lambda/guard.mjs';
import { fromEnvironment } from './spillway-lambda/s3-export.mjs';
import { streamed } from './spillway-lambda/streaming.mjs';

const object = fromEnvironment();
const unguarded = streamed(object);

export const handler = streamed(guarded(object));
export { unguarded as export };
