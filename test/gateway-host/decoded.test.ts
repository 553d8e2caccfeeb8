/** What we send, as somebody else's decoder reads it: nothing malformed, and the fields that were meant. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { gratuitousArp } from '../../src/gateway-host/announcer.ts';
import { serverIdentifier } from '../../src/gateway-host/dhcp6/answer.ts';
import { messageTypes6, optionCodes6 } from '../../src/gateway-host/dhcp6/message.ts';
import { Responder } from '../../src/gateway-host/responder.ts';
import { generatedMac } from '../../src/intent/addresses.ts';
import { pcap } from '../../src/sandbox/decode.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { toolOrSkip } from '../support/network-tools.ts';
import { run } from '../support/open-vswitch.ts';
import { frame4, frame6, ip4, mac, network, request4, request6, servedWith, solicitation, web1 } from './arbitrary.ts';

const responder = new Responder(servedWith(), 86_400);
const server = serverIdentifier({ server: generatedMac(network.number) });

function answerTo(frame: Buffer): Buffer {
  const outcome = responder.answer(network.key, frame);
  if (outcome.kind === 'silence') throw new Error(outcome.why);
  return outcome.frame;
}

test('tshark reads every answer as it was meant', async (context) => {
  const [program, ...before] = await toolOrSkip('tshark', context);
  const asks = [{ id: 1, addresses: ['fd00:1::99', 'fd00:1::10'] }];
  const wants = { code: optionCodes6.optionRequest, data: Buffer.of(0, optionCodes6.domainList) };
  const frames: [string, Buffer, Record<string, string>][] = [
    [
      'offer',
      answerTo(frame4(request4({ type: 'discover', asks: [1, 3, 6, 12, 15, 26, 121, 249] }))),
      {
        'dhcp.option.dhcp': '2',
        'dhcp.ip.your': '10.0.1.10',
        'dhcp.option.subnet_mask': '255.255.255.0',
        'dhcp.option.router': '10.0.1.1',
        'dhcp.option.domain_name_server': '169.254.169.254',
        'dhcp.option.interface_mtu': '1458',
        'dhcp.option.hostname': 'web1',
        'dhcp.option.domain_name': 'shop.internal',
        'dhcp.option.ip_address_lease_time': '86400',
      },
    ],
    [
      'ack',
      answerTo(frame4(request4({ type: 'request', client: '10.0.1.10' }), '10.0.1.10', '10.0.1.1')),
      { 'dhcp.option.dhcp': '5' },
    ],
    ['nak', answerTo(frame4(request4({ type: 'request', requested: '10.0.1.99' }))), { 'dhcp.option.dhcp': '6' }],
    [
      'advertise',
      answerTo(frame6(request6({ type: messageTypes6.solicit, asks, options: [wants] }))),
      {
        'dhcpv6.msgtype': '2',
        'dhcpv6.iaaddr.ip': 'fd00:1::10,fd00:1::99',
        'dhcpv6.search_list_entry': 'shop.internal.',
      },
    ],
    ['reply', answerTo(frame6(request6({ type: messageTypes6.renew, server, asks }))), { 'dhcpv6.msgtype': '7' }],
    [
      'router',
      answerTo(solicitation()),
      {
        'icmpv6.nd.ra.flag.m': '1',
        'icmpv6.opt.mtu': '1458',
        'icmpv6.opt.prefix': 'fd00:1::',
        'icmpv6.opt.prefix.flag.l': '1',
        'icmpv6.opt.prefix.flag.a': '0',
        'icmpv6.nd.ra.router_lifetime': '1800',
      },
    ],
    ['arp', gratuitousArp(mac(web1.mac), ip4('203.0.113.9'), 1), { 'arp.isgratuitous': '1', 'arp.opcode': '1' }],
    ['arp', gratuitousArp(mac(web1.mac), ip4('203.0.113.9'), 2), { 'arp.isgratuitous': '1', 'arp.opcode': '2' }],
  ];
  await using files = ephemeralDirectory('keyway-decoded-');
  const capture = join(files.path, 'answers.pcap');
  writeFileSync(capture, pcap(frames.map(([, frame], at) => ({ at, hex: frame.toString('hex') }))));
  const read = (...args: string[]) =>
    run(
      program,
      [...before, ...['-n', '-r', capture, '-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', ...args]],
      { timeout: 60_000 },
    );
  // Checksums that are wrong are errors too.
  expect(await read('-Y', '_ws.malformed || _ws.expert.severity == error', '-T', 'fields', '-e', 'frame.number')).toBe(
    '',
  );
  expect(
    (
      await read(
        '-Y',
        'udp.checksum.status == "Good" || icmpv6.checksum.status == "Good" || arp',
        '-T',
        'fields',
        '-e',
        'frame.number',
      )
    )
      .trim()
      .split('\n'),
  ).toHaveLength(frames.length);
  const names = [...new Set(frames.flatMap(([, , fields]) => Object.keys(fields)))];
  const table = await read('-T', 'fields', ...names.flatMap((name) => ['-e', name]));
  const rows = table
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => line.split('\t'));
  frames.forEach(([what, , fields], i) => {
    const got = Object.fromEntries(names.map((name, column) => [name, rows[i]![column]!]));
    // Some versions write True where others write 1.
    const tidy = (text: string) => text.replaceAll('True', '1').replaceAll('False', '0');
    for (const [name, value] of Object.entries(fields)) expect(tidy(got[name]!), `${what}: ${name}`).toBe(value);
  });
});
