/**
 * What a handler is called with: an event in payload format 2.0, and its context.
 *
 * @typedef {{
 *   headers?: Record<string, unknown> | null,
 *   rawPath?: string,
 *   rawQueryString?: string,
 *   requestContext?: { http?: { method?: string } },
 * }} Event
 * @typedef {{ awsRequestId: string }} Context
 */

/**
 * The request's method; GET for an event that is no HTTP request (a direct invocation).
 *
 * @param {Event} event
 * @returns {string}
 */
export function method(event) {
  return String(event.requestContext?.http?.method ?? 'GET');
}

/**
 * The request's header fields. Lambda writes their names in lower case.
 *
 * @param {Event} event
 * @returns {Map<string, string>}
 */
export function headers(event) {
  /** @type {Map<string, string>} */
  const fields = new Map();
  for (const [name, value] of Object.entries(event.headers ?? {})) {
    if (typeof value === 'string') fields.set(name, value);
  }
  return fields;
}
