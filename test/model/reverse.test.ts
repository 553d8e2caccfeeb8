/** Replies whose label is out of date, judged in reverse by real Open vSwitch: the datapath sees the packet unchanged. */
import { expect, test } from 'vitest';
import { joinSwitch, settled, startTestCore } from '../support/core.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';
const mac = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b' };
const v4 = { a: '10.0.1.10', b: '10.0.1.11' };
const v6 = { a: 'fd00:a:b:1::10', b: 'fd00:a:b:1::11' };

/** What b answers a, in the notation of ovs-ofctl. */
const from4 = `dl_src=${mac.b},dl_dst=${mac.a},nw_src=${v4.b},nw_dst=${v4.a},nw_ttl=64`;
const from6 = `dl_src=${mac.b},dl_dst=${mac.a},ipv6_src=${v6.b},ipv6_dst=${v6.a},nw_ttl=64`;
const replies: Record<string, string> = {
  TCP: `tcp,${from4},tcp_src=80,tcp_dst=40000,tcp_flags=ack`,
  'TCP over IPv6': `tcp6,${from6},tcp_src=80,tcp_dst=40000,tcp_flags=ack`,
  UDP: `udp,${from4},udp_src=80,udp_dst=40000`,
  'UDP over IPv6': `udp6,${from6},udp_src=80,udp_dst=40000`,
  SCTP: `sctp,${from4},sctp_src=80,sctp_dst=40000`,
  'an echo reply': `icmp,${from4},icmp_type=0,icmp_code=0`,
  'an ICMPv6 echo reply': `icmp6,${from6},icmpv6_type=129,icmpv6_code=0`,
  'a timestamp reply': `icmp,${from4},icmp_type=14,icmp_code=0`,
  ESP: `ip,${from4},nw_proto=50`,
  'ESP over IPv6': `ipv6,${from6},nw_proto=50`,
};

test('of replies to what a rule allows the label is renewed, others go nowhere, and none is changed', {
  timeout: 60_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  const put = async (...resources: [path: string, spec: Record<string, unknown>][]) => {
    await core.intent.transact(
      resources.map(([path, spec]) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
    await settled(core);
  };
  const port = (name: 'a' | 'b') => ({ tier: 'web', mac: mac[name], ips: [v4[name], v6[name]], ifaceId: name });
  await put(
    ['tenants/acme', {}],
    [network, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00:a:b::/48' }],
    [`${network}/tiers/web`, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:a:b:1::/64' }],
    [`${network}/ports/a`, port('a')],
    [`${network}/ports/b`, port('b')],
  );
  await hv1.addPort('vif-a', 'a');
  const ofport = await hv1.addPort('vif-b', 'b');
  await expect.poll(() => core.fabric.binding(`${network}/ports/b`)).not.toBe(null);
  await settled(core);

  /** Actions of the datapath, by pass: to the sender's conntrack, to the receiver's, and onwards. */
  const trace = async (packet: string, state: string): Promise<string[]> => {
    const states = ['--ct-next', state, '--ct-next', state];
    const text = await hv1.appctl('ofproto/trace', 'br-int', `in_port=${ofport},${packet}`, ...states);
    return [...text.matchAll(/^Datapath actions: (.*)$/gm)].map((m) => m[1]!);
  };
  const rules = (action: string, from: 'a' | 'b', to: 'a' | 'b') =>
    ['any', 'icmp', 'icmpv6'].map((protocol, i): [string, Record<string, unknown>] => [
      `${network}/rules/r${i}`,
      { action, priority: 10, protocol, from: { port: from }, to: { port: to } },
    ]);

  for (const [name, packet] of Object.entries(replies))
    expect((await trace(packet, 'trk,est,rpl')).at(-1), name).toBe('drop');
  // The direction counts.
  await put(...rules('allow', 'b', 'a'));
  for (const [name, packet] of Object.entries(replies))
    expect((await trace(packet, 'trk,est,rpl')).at(-1), name).toBe('drop');

  await put(...rules('allow', 'a', 'b'));
  for (const [name, packet] of Object.entries(replies)) {
    const passes = await trace(packet, 'trk,est,rpl');
    expect(passes, name).toHaveLength(3);
    // Committed with a label that is in force, in the sender's zone and in the receiver's; the mark stays as it is.
    for (const actions of passes.slice(1)) expect(actions, name).toMatch(/^ct\(commit,zone=\d+,label=0x[0-9a-f/x]+\),/);
    for (const actions of passes) expect(actions, name).not.toMatch(/set\(|mark=|drop/);
    expect(passes.at(-1), name).toMatch(/,\d+$/);
  }

  // In midstream TCP alone is taken for a reply, and so marked.
  const midstream = await trace(replies.TCP!, 'trk,new');
  expect(midstream.at(-1)).toMatch(/^ct\(commit,zone=\d+,mark=0x1\/0x1,label=0x[0-9a-f/x]+\),\d+$/);
  expect((await trace(replies.UDP!, 'trk,new')).at(-1)).toBe('drop');
});
