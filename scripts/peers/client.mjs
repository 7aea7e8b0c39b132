// A small HTTP client: keep-alive connections, JSON in and out, a limit on how long it waits.
import http from 'node:http';

/** Nobody waits longer than this for an answer; then it counts as an error. It is long, so that
 *  a slow shop is measured as slow and not as failing. */
const TIMEOUT_MS = 240_000;

/** Units of what does not run out. */
export const PLENTY = 1_000_000;

/** One of them, by chance. */
export const any = (list) => list[Math.floor(Math.random() * list.length)];

let buyers = 0;

/** A name that no other buyer of this or another run has. */
export function nextBuyer() {
  buyers += 1;
  return `${Date.now()}-${buyers}`;
}

/** An answer that the adapter did not expect. */
export class Unexpected extends Error {
  constructor(what, answer) {
    super(`${what}: ${answer.status} ${JSON.stringify(answer.body ?? null).slice(0, 400)}`);
    this.status = answer.status;
    this.body = answer.body;
  }
}

export class Client {
  constructor(url) {
    this.url = new URL(url);
    this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity, scheduling: 'fifo' });
  }

  /** Sends a request and resolves to its status, headers and body, whatever the status is. */
  async send(method, path, headers = {}, body = undefined) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const all = { accept: 'application/json', ...headers };
    if (text !== undefined) {
      all['content-type'] = 'application/json';
      all['content-length'] = Buffer.byteLength(text);
    }
    const { hostname, port } = this.url;
    const options = { method, path, headers: all, hostname, port, timeout: TIMEOUT_MS };
    try {
      return await once({ ...options, agent: this.agent }, text);
    } catch (error) {
      // A server may close an idle connection while a request is on its way to it.
      if (!error.isIdleConnectionGone) throw error;
      return once({ ...options, agent: false }, text);
    }
  }

  /** The same, but any status that is no success is an error. */
  async ask(method, path, headers, body) {
    const answer = await this.send(method, path, headers, body);
    if (answer.status < 200 || answer.status > 299) {
      throw new Unexpected(`${method} ${path}`, answer);
    }
    return answer;
  }

  close() {
    this.agent.destroy();
  }
}

function once(options, text) {
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(answerOf(response, Buffer.concat(chunks).toString())));
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', (error) => {
      error.isIdleConnectionGone = request.reusedSocket && error.code === 'ECONNRESET';
      reject(error);
    });
    request.end(text);
  });
}

function answerOf(response, text) {
  let body;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    body = text;
  }
  return { status: response.statusCode, headers: response.headers, body };
}
