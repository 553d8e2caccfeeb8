/** What can go wrong with an OVSDB session. */

/** What the peer sent is not OVSDB (RFC 7047) as we know it: this session is lost, nothing else. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** The server answered with an error: a JSON-RPC error, or the `error` member of an operation's result (RFC 7047, 4.1.3). */
export class OvsdbError extends Error {
  override readonly name = 'OvsdbError';
  /** Short and stable, e.g. `constraint violation`, `timed out`, `unknown method`. */
  readonly error: string;
  readonly details: string;
  /** Index of the operation that failed, in the order they were given; undefined when it is none of them (commit, JSON-RPC). */
  readonly operation: number | undefined;

  constructor(error: string, details = '', operation?: number) {
    super(details ? `${error}: ${details}` : error);
    this.error = error;
    this.details = details;
    this.operation = operation;
  }
}

/** The session ended before the answer came: whether the request took effect is unknown. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
}
