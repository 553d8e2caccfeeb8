/**
 * What each bit of metadata, registers and ct_label means, once. Nothing else in Keyway names a register by number.
 * Stays within reg0..reg15: more are unknown to Open vSwitch before 3.7 (measured on 3.1).
 */
import type { Action, FieldName, Match, Scalar, Subfield } from './flow.ts';

export type Register = Subfield & { name: string; purpose: string };

function register(name: string, field: FieldName, offset: number, bits: number, purpose: string): Register {
  return { name, field, offset, bits, purpose };
}

export const registers = {
  key: register('key', 'metadata', 0, 32, "The tenant's key, the same as on the wire"),
  reversed: register(
    'reversed',
    'reg0',
    0,
    1,
    'The connection is committed from a segment of its reply direction, see EgressReply',
  ),
  allowed: register('allowed', 'reg0', 1, 1, 'A rule or policy allows the packet, or the connection it replies to'),
  live: register('live', 'reg0', 2, 1, 'What the label of the connection says is in force: see LivePorts'),
  log: register('log', 'reg0', 3, 1, 'What decided asks for a line in the log'),
  routed: register('routed', 'reg0', 4, 1, "The packet came through the router of its sender's tier"),
  steered: register('steered', 'reg0', 5, 1, 'The packet is on its way to a port of a steering rule'),
  tooBig: register('tooBig', 'reg0', 6, 1, 'The packet is larger than the MTU of the network'),
  router: register('router', 'reg0', 7, 1, 'The neighbour advertisement speaks for a router'),
  outbound: register(
    'outbound',
    'reg0',
    8,
    1,
    'The packet is at the gateway of its network: on its way out, or to the services',
  ),
  service: register('service', 'reg0', 9, 1, 'The packet goes to the services of a gateway host, or comes from them'),
  fromOutside: register(
    'fromOutside',
    'reg0',
    10,
    1,
    'The packet came from a provider network, and does not go out there again',
  ),
  outPort: register('outPort', 'reg2', 0, 32, 'OpenFlow port the frame leaves by, on this switch'),
  rule: register(
    'rule',
    'reg3',
    0,
    32,
    'Id of the access rule or policy that decided, 0: none did; goes into ct_label when the connection is committed',
  ),
  network: register(
    'network',
    'reg4',
    0,
    32,
    "Network number: of the sender's port until the destination is looked up, then of the receiver's",
  ),
  tier: register(
    'tier',
    'reg5',
    0,
    32,
    "Tier number of the sender's port, once routed of the receiver's; frames stay within it",
  ),
  zone: register(
    'zone',
    'reg6',
    0,
    16,
    'Conntrack zone of the port whose rules are applied: the sender, then the receiver',
  ),
  toPeer: register('toPeer', 'reg7', 0, 16, 'Number of the hypervisor the frame is tunnelled to'),
  orPeer: register(
    'orPeer',
    'reg7',
    16,
    16,
    'Number of the hypervisor it is tunnelled to while that one is dead, 0: none',
  ),
  fromPeer: register('fromPeer', 'reg8', 0, 16, 'Number of the hypervisor the frame came from'),
  ruleEpoch: register(
    'ruleEpoch',
    'reg9',
    0,
    32,
    'Epoch of what decided: another one once it or a group it names has changed',
  ),
  portEpoch: register(
    'portEpoch',
    'reg10',
    0,
    32,
    'Epoch of the port whose rules are applied: another one once the port has changed',
  ),
  denyEpoch: register(
    'denyEpoch',
    'reg11',
    0,
    32,
    'Epoch of what the network denies: another one once a deny rule or policy has come or changed',
  ),
  bucket: register(
    'bucket',
    'reg12',
    0,
    32,
    'Which rules Precedence is asked of: those of one table (bits 16 to 23) and priority (bits 0 to 15)',
  ),
  alive: register(
    'alive',
    'reg13',
    0,
    16,
    'OpenFlow port of the tunnel to the first gateway while that is alive, 0xffff (OFPP_NONE): this switch is in charge',
  ),
} as const satisfies Record<string, Register>;

/** What connection tracking keeps of a connection for us. */
export const connection = {
  ruleLabel: register('ruleLabel', 'ct_label', 0, 32, 'Id of the access rule or policy that allowed the connection'),
  ruleEpochLabel: register('ruleEpochLabel', 'ct_label', 32, 32, 'Its epoch then'),
  portEpochLabel: register('portEpochLabel', 'ct_label', 64, 32, 'Epoch of the port then'),
  denyEpochLabel: register('denyEpochLabel', 'ct_label', 96, 32, 'Epoch of what the network denied then'),
  reversedMark: register(
    'reversedMark',
    'ct_mark',
    0,
    1,
    'The connection was committed from a segment of its reply direction',
  ),
} as const satisfies Record<string, Register>;

const whole = (r: Register, width: number) => r.offset === 0 && r.bits === width;

const widths: Partial<Record<FieldName, number>> = { metadata: 64, ct_label: 128 };

/** Adds `register = value` to a match. Two registers in one field are merged. */
export function matching(match: Match, r: Register, value: number): Match {
  const width = widths[r.field] ?? 32;
  if (whole(r, width)) return { ...match, [r.field]: value };
  const wide = width > 32;
  const mask = ((1n << BigInt(r.bits)) - 1n) << BigInt(r.offset);
  const bits = BigInt(value) << BigInt(r.offset);
  const before = match[r.field];
  if (before === undefined)
    return { ...match, [r.field]: wide ? { value: bits, mask } : { value: Number(bits), mask: Number(mask) } };
  const [v, m] =
    typeof before === 'object'
      ? [BigInt(before.value), BigInt(before.mask)]
      : [BigInt(before), (1n << BigInt(width)) - 1n];
  return { ...match, [r.field]: { value: v | bits, mask: m | mask } };
}

/** set_field on the register, masked to its bits. */
export function load(r: Register, value: number): Action {
  const width = widths[r.field] ?? 32;
  if (whole(r, width)) return { type: 'setField', field: r.field, value };
  const mask = ((1n << BigInt(r.bits)) - 1n) << BigInt(r.offset);
  const bits: Scalar = BigInt(value) << BigInt(r.offset);
  return width > 32
    ? { type: 'setField', field: r.field, value: bits, mask }
    : { type: 'setField', field: r.field, value: Number(bits), mask: Number(mask) };
}

/** Clears every bit that stands for yes or no. */
export function clearFlags(): Action {
  const mask = Object.values(registers).reduce((bits, r) => (r.field === 'reg0' ? bits | (1 << r.offset) : bits), 0);
  return { type: 'setField', field: 'reg0', value: 0, mask };
}

export function subfield(r: Register): Subfield {
  return { field: r.field, offset: r.offset, bits: r.bits };
}
