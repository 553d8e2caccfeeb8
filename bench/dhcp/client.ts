/**
 * Takes leases in the namespace it runs in, one after another, each from discover to acknowledgement; prints milliseconds
 * each as JSON. A reply that does not come in a second is asked for again, as clients do, and told.
 *
 * node client.ts MAC COUNT
 */
import { createSocket } from 'node:dgram';
import {
  type Dhcp4Message,
  formatDhcp4,
  messageTypes,
  optionCodes,
  parseDhcp4,
} from '../../src/gateway-host/dhcp4/message.ts';
import { parseMac } from '../../src/intent/addresses.ts';

const clientMac = parseMac(process.argv[2] ?? '')!;
const count = Number(process.argv[3]);
const socket = createSocket('udp4');
await new Promise<void>((resolve) => socket.bind(68, '0.0.0.0', resolve));
socket.setBroadcast(true);

let answered: (message: Dhcp4Message) => void = () => {};
socket.on('message', (bytes) => {
  const message = parseDhcp4(bytes);
  if (message?.op === 2 && message.clientMac === clientMac) answered(message);
});

let lost = 0;

async function ask(type: number, transaction: number, more: [number, Buffer][]): Promise<Dhcp4Message> {
  const request: Dhcp4Message = {
    ...{ op: 1, transaction, seconds: 0, broadcast: false, clientMac },
    ...{ clientAddress: 0, yourAddress: 0, serverAddress: 0, relayAddress: 0 },
    options: new Map([
      [optionCodes.messageType as number, Buffer.of(type)],
      ...more,
      [optionCodes.parameterRequestList, Buffer.of(1, 3, 6, 12, 15, 26, 51, 121)],
    ]),
  };
  const { bytes } = formatDhcp4(request);
  for (;;) {
    const reply = await new Promise<Dhcp4Message | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), 1_000);
      answered = (message) => {
        if (message.transaction !== transaction) return;
        clearTimeout(timer);
        resolve(message);
      };
      socket.send(bytes, 67, '255.255.255.255');
    });
    if (reply !== undefined) return reply;
    lost++;
  }
}

const taken: number[] = [];
for (let i = 0; i < count; i++) {
  const transaction = Math.floor(Math.random() * 2 ** 32);
  const started = performance.now();
  const offer = await ask(messageTypes.discover, transaction, []);
  const address = Buffer.alloc(4);
  address.writeUInt32BE(offer.yourAddress);
  const server = offer.options.get(optionCodes.serverIdentifier)!;
  const ack = await ask(messageTypes.request, transaction + 1, [
    [optionCodes.requestedAddress, address],
    [optionCodes.serverIdentifier, server],
  ]);
  if (ack.options.get(optionCodes.messageType)?.[0] !== messageTypes.ack) throw new Error('not acknowledged');
  taken.push(performance.now() - started);
}
socket.close();
console.log(JSON.stringify({ taken, lost }));
