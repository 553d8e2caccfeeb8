/**
 * DHCP clients of many interfaces, in the namespace they are in: the plan is read from a file (JSON, see Plan), what each
 * took is printed (JSON). A raw socket of its own for each, by socat, since it has no address to send from.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import {
  addressOption,
  type Dhcp4Message,
  formatDhcp4,
  messageTypes,
  optionCodes,
  parseDhcp4,
} from '../../src/gateway-host/dhcp4/message.ts';
import { formatFrame, formatUdp, parseFrame, parseUdp } from '../../src/gateway-host/frame.ts';

export type DhcpClientPlan = {
  clients: {
    device: string;
    /** As numbers. */ mac: number;
    ip: number;
  }[];
  /** Clients at once. */
  parallel: number;
  /** Leases there are: asked for again, by those who have them. */
  renew: boolean;
};

/** Milliseconds. */
export type DhcpTaken =
  | { discover: number | undefined; total: number /** Requests that had to be sent again. */; again: number }
  | { failed: string };

/** Milliseconds without an answer, and until a request is sent again. */
const patience = 5_000;
const retransmission = 1_000;

const everybody = { family: 4, value: 0xffff_ffff } as const;
const nobody = { family: 4, value: 0 } as const;

const [file = ''] = process.argv.slice(2);
const { clients, parallel, renew } = JSON.parse(readFileSync(file, 'utf8')) as DhcpClientPlan;
type Client = (typeof clients)[number];

function request(client: Client, transaction: number, options: [number, Buffer][]): Buffer {
  const bound = renew ? client.ip : 0;
  const message: Dhcp4Message = {
    op: 1,
    transaction,
    seconds: 0,
    broadcast: false,
    clientAddress: bound,
    yourAddress: 0,
    serverAddress: 0,
    relayAddress: 0,
    clientMac: client.mac,
    options: new Map(options),
  };
  const source = renew ? ({ family: 4, value: client.ip } as const) : nobody;
  const udp = { sourcePort: 68, destinationPort: 67, payload: formatDhcp4(message).bytes };
  return formatFrame({
    ethernetSource: client.mac,
    ethernetDestination: 0xffff_ffff_ffff,
    source,
    destination: everybody,
    hopLimit: 64,
    protocol: 17,
    payload: formatUdp(source, everybody, udp),
  });
}

function address(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const type = (value: number): [number, Buffer] => [optionCodes.messageType, Buffer.from([value])];

/** Answers of the transaction that arrive on the wire, whatever else does. */
function listen(output: NodeJS.ReadableStream, transaction: number): (wanted: number) => Promise<Dhcp4Message> {
  let rest = Buffer.alloc(0);
  const arrived: Dhcp4Message[] = [];
  let waiting: (() => void) | undefined;
  output.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    // Frames come one behind the other; what is no IPv4 is not measured, and ends what was read at once.
    while (rest.length >= 34) {
      if (rest.readUInt16BE(12) !== 0x0800) {
        rest = Buffer.alloc(0);
        return;
      }
      const length = 14 + rest.readUInt16BE(16);
      if (rest.length < length) return;
      const frame = parseFrame(rest.subarray(0, length));
      rest = rest.subarray(length);
      const udp = frame?.protocol === 17 ? parseUdp(frame.payload) : undefined;
      const message = udp?.destinationPort === 68 ? parseDhcp4(udp.payload) : undefined;
      if (message?.op === 2 && message.transaction === transaction) arrived.push(message);
    }
    waiting?.();
  });
  return (wanted) =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no answer of type ${wanted} within ${patience} ms`)), patience);
      waiting = () => {
        const found = arrived.find(({ options }) => options.get(optionCodes.messageType)?.[0] === wanted);
        if (found === undefined) return;
        clearTimeout(late);
        waiting = undefined;
        resolve(found);
      };
      waiting();
    });
}

async function take(client: Client, index: number): Promise<DhcpTaken> {
  const args = ['-d', '-d', '-b', '4096', `INTERFACE:${client.device}`, 'STDIO'];
  const socket = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'socat', ...args]);
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      let said = '';
      socket.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('starting data transfer loop')) resolve();
      });
      void ended.then(() => reject(new Error(said)));
    });
    const transaction = 0x4b57_0000 + index;
    const answer = listen(socket.stdout, transaction);
    let again = 0;
    const say = async (frame: Buffer, wanted: number): Promise<Dhcp4Message> => {
      socket.stdin.write(frame);
      const timer = setInterval(() => {
        again += 1;
        socket.stdin.write(frame);
      }, retransmission);
      try {
        return await answer(wanted);
      } finally {
        clearInterval(timer);
      }
    };
    const begin = performance.now();
    let discover: number | undefined;
    let asked = request(client, transaction, [type(messageTypes.request)]);
    if (!renew) {
      const offer = await say(request(client, transaction, [type(messageTypes.discover)]), messageTypes.offer);
      discover = performance.now() - begin;
      if (offer.yourAddress !== client.ip) return { failed: `offered ${offer.yourAddress.toString(16)}` };
      const server = addressOption(offer.options, optionCodes.serverIdentifier) ?? 0;
      asked = request(client, transaction, [
        type(messageTypes.request),
        [optionCodes.requestedAddress, address(client.ip)],
        [optionCodes.serverIdentifier, address(server)],
      ]);
    }
    const ack = await say(asked, messageTypes.ack);
    const total = performance.now() - begin;
    if (ack.yourAddress !== client.ip) return { failed: `given ${ack.yourAddress.toString(16)}` };
    return { discover, total, again };
  } catch (error) {
    return { failed: (error as Error).message };
  } finally {
    socket.kill('SIGKILL');
    await ended;
  }
}

const results: DhcpTaken[] = [];
let next = 0;
await Promise.all(
  Array.from({ length: parallel }, async () => {
    for (let i = next++; i < clients.length; i = next++) results[i] = await take(clients[i]!, i);
  }),
);
process.stdout.write(JSON.stringify(results), () => process.exit(0));
