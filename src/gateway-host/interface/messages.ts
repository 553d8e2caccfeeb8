/** Between the program and the process that listens in the namespace for it. */

export type ToListener = {
  /** Of the interface in the namespace. */
  device: string;
  /** Served there. */
  address: string;
  /** Prefix of those who ask. */
  route: string;
  /** The way to them: nobody, whose MAC is known. */
  nextHop: string;
  nextHopMac: string;
};

export type FromListener =
  | { type: 'ready' }
  | { type: 'remark'; text: string }
  | { type: 'failed'; reason: string }
  | { type: 'socket'; name: SocketName };

export type SocketName = 'dns-udp' | 'dns-tcp' | 'metadata';
