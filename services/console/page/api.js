// Calls the admin address.

// A request that failed: status 0 if there was no answer.
export class Problem extends Error {
  constructor(status, code, detail, fields = []) {
    super(detail);
    Object.assign(this, { status, code, fields });
  }
}

let unauthorized = () => {};

// Calls the function whenever a request needs a login.
export const onUnauthorized = (f) => { unauthorized = f; };

const patience = 20_000;

// Returns the answer's JSON, or undefined without a body.
export async function call(method, path, body, signal) {
  const stop = AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])]);
  let answer;
  let content;
  try {
    answer = await fetch(path, {
      method,
      signal: stop,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    content = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'no_answer', stop.aborted ? `orderflow did not answer within ${patience / 1000} s.` : 'orderflow does not answer.');
  }
  if (answer.ok) return content === '' ? undefined : JSON.parse(content);
  const problem = parse(content);
  if (answer.status === 401 && path !== '/session') unauthorized();
  throw new Problem(answer.status, problem.code ?? '', problem.detail ?? `orderflow answered ${answer.status}.`, problem.errors);
}

function parse(content) {
  try {
    return JSON.parse(content);
  } catch {
    return {};
  }
}

export const get = (path, signal) => call('GET', path, undefined, signal);
export const post = (path, body = {}) => call('POST', path, body);

// Returns the path with those parameters that have a value.
export function withQuery(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  return query.size > 0 ? `${path}?${query}` : path;
}
