/** Headers as the log tells them, held against hand-made frames. */
import { expect, test } from 'vitest';
import { packetHeaders } from '../../src/engine/packet-headers.ts';

const frame = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));

const ethernet = '0200000001120200000001 11';
const ipv4 = (protocol: string, rest: string, offset = '0000') =>
  frame(`${ethernet} 0800 45000020 0000${offset} 40${protocol}0000 0a00010b 0a00010c ${rest}`);
const ipv6 = (next: string, rest: string) =>
  frame(
    `${ethernet} 86dd 60000000 0010${next}40 fd000000000000000000000000000001 fd000000000000000000000000000002 ${rest}`,
  );
const v4 = { source: '10.0.1.11', destination: '10.0.1.12' };
const v6 = { source: 'fd00::1', destination: 'fd00::2' };

test('addresses, protocol, ports and ICMP types of both IP versions', () => {
  expect(packetHeaders(ipv4('06', '04d20050 0000'))).toEqual({
    ...v4,
    protocol: 'tcp',
    sourcePort: 1234,
    destinationPort: 80,
  });
  expect(packetHeaders(ipv4('01', '0800 0000'))).toEqual({ ...v4, protocol: 'icmp', icmpType: 8, icmpCode: 0 });
  expect(packetHeaders(ipv4('fd', '00000000'))).toEqual({ ...v4, protocol: '253' });
  expect(packetHeaders(ipv6('11', '00350036 0000'))).toEqual({
    ...v6,
    protocol: 'udp',
    sourcePort: 53,
    destinationPort: 54,
  });
  expect(packetHeaders(ipv6('3a', '8000 0000'))).toEqual({ ...v6, protocol: 'icmpv6', icmpType: 128, icmpCode: 0 });
});

test('options, extension headers and fragments are passed over', () => {
  const options = frame(`${ethernet} 0800 46000024 00000000 40060000 0a00010b 0a00010c 01010101 04d20050`);
  expect(packetHeaders(options)).toMatchObject({ protocol: 'tcp', sourcePort: 1234, destinationPort: 80 });
  const hopByHop = '1100 000000000000';
  expect(packetHeaders(ipv6('00', `${hopByHop} 00350036`))).toMatchObject({ protocol: 'udp', sourcePort: 53 });
  // The first fragment has ports, a later one has none.
  expect(packetHeaders(ipv6('2c', '1100 0001 00000001 00350036'))).toMatchObject({ protocol: 'udp', sourcePort: 53 });
  expect(packetHeaders(ipv6('2c', '1100 0009 00000001 00350036'))).toEqual({ ...v6, protocol: 'udp' });
  expect(packetHeaders(ipv4('06', '04d20050', '2001'))).toEqual({ ...v4, protocol: 'tcp' });
});

test('what is cut short or no IP packet is no reason to fail', () => {
  const whole = ipv6('00', '2c00 000000000000 1100 0001 00000001 00350036');
  for (let length = 0; length <= whole.length; length++) packetHeaders(whole.subarray(0, length));
  expect(packetHeaders(frame(`${ethernet} 0806 ${'00'.repeat(28)}`))).toBe(undefined);
  expect(packetHeaders(new Uint8Array(10))).toBe(undefined);
});
