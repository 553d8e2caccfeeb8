import { readFileSync } from 'node:fs';
import { request } from 'node:http';

export type ApiAnswer = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Parsed when it is JSON, else the text; undefined when empty. */
  body: unknown;
};

export type ApiOptions = {
  /** Bearer token; none is sent when it is ''. */
  token?: string;
  headers?: Record<string, string>;
  /** Milliseconds; 60,000 unless told. */
  timeout?: number;
};

/** One request to the REST API over its Unix socket. A string body is sent as it is. @throws Error when there is no answer. */
export function requestApi(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  options: ApiOptions = {},
): Promise<ApiAnswer> {
  const { token = '', headers = {}, timeout = 60_000 } = options;
  const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath,
        method,
        path,
        timeout,
        headers: {
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('error', reject);
        response.once('end', () => {
          const json = /[/+]json/.test(response.headers['content-type'] ?? '');
          const parsed: unknown = text === '' ? undefined : json ? JSON.parse(text) : text;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
        });
      },
    );
    sent.once('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${timeout} ms`)));
    sent.once('error', reject);
    sent.end(payload);
  });
}

/** A request as admin; resolves with the body. @throws Error with the problem when the answer is not 2xx. */
export type Admin = (method: string, path: string, body?: unknown) => Promise<unknown>;

export function tokenIn(file: string): string {
  return readFileSync(file, 'utf8').trim();
}

export function adminOf(socketPath: string, adminTokenFile: string): Admin {
  return async (method, path, body) => {
    const answer = await requestApi(socketPath, method, path, body, { token: tokenIn(adminTokenFile) });
    if (answer.status < 200 || answer.status > 299) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  };
}
