/**
 * Random rules that overlap a lot, packets for them, and the reference that says which rule has a packet, worked out
 * without any code of Keyway's.
 */
import fc from 'fast-check';

/** A block of 2^bits hosts from `base`, of the sixteen there are in each IP version; bits 32: every address of the version. */
export type Block = { family: 4 | 6; base: number; bits: number };

export type Spoken = {
  protocol: 'any' | 'tcp' | 'udp' | 'icmp' | 'icmpv6' | '50';
  ports?: string[];
  icmp?: { type: number; code?: number };
};

export type ModelRule = {
  id: number;
  /** Network of an access rule, 7 or 8; tenants of a policy. */
  holdsIn: readonly number[] | 'all';
  priority: number;
  action: 'allow' | 'deny';
  log: boolean;
  from: Block[];
  to: Block[];
  service: Spoken;
};

/** `network`: that, or the tenant. `from` and `to`: hosts 0 to 15, or 99 for one outside. */
export type ModelPacket = {
  network: number;
  family: 4 | 6;
  from: number;
  to: number;
  protocol: 'tcp' | 'udp' | 'icmp' | '50';
  port: number;
  type: number;
  code: number;
};

const family = fc.constantFrom<4 | 6>(4, 6);
const host = fc.record({ family, base: fc.nat({ max: 15 }), bits: fc.constant(0) });
const block = fc
  .record({ family, base: fc.nat({ max: 15 }), bits: fc.constantFrom(1, 2, 3) })
  .map(({ base, bits, ...rest }): Block => ({ ...rest, base: (base >> bits) << bits, bits }));
const everything: Block[] = [
  { family: 4, base: 0, bits: 32 },
  { family: 6, base: 0, bits: 32 },
];

const end: fc.Arbitrary<Block[]> = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.oneof(host, host, host, host, block), { minLength: 12, maxLength: 40 }) },
  { weight: 2, arbitrary: fc.array(fc.oneof(host, block), { maxLength: 2 }) },
  { weight: 4, arbitrary: fc.constant(everything) },
  { weight: 1, arbitrary: fc.array(host, { maxLength: 6 }).map((hosts): Block[] => [everything[0]!, ...hosts]) },
  { weight: 1, arbitrary: fc.array(host, { maxLength: 6 }).map((hosts): Block[] => [everything[1]!, ...hosts]) },
);

const service: fc.Arbitrary<Spoken> = fc.oneof(
  fc.constant<Spoken>({ protocol: 'any' }),
  fc.constantFrom<Spoken>({ protocol: 'tcp' }, { protocol: '50' }, { protocol: 'icmp' }),
  fc
    .uniqueArray(fc.constantFrom('22', '80', '443', '8000-8100', '1-1023', '8080', '60000-65535'), {
      minLength: 1,
      maxLength: 5,
    })
    .chain((ports) =>
      fc.constantFrom<Spoken>({ protocol: 'tcp', ports }, { protocol: 'tcp', ports }, { protocol: 'udp', ports }),
    ),
  fc.constantFrom<Spoken>(
    { protocol: 'icmp', icmp: { type: 8 } },
    { protocol: 'icmp', icmp: { type: 8, code: 0 } },
    { protocol: 'icmpv6', icmp: { type: 128 } },
    { protocol: 'icmpv6' },
  ),
);

/** Few priorities, so that most rules are beside others; ids in no order, so that a rule may be ahead of an older one. */
function rulesIn(holdsIn: fc.Arbitrary<ModelRule['holdsIn']>): fc.Arbitrary<ModelRule[]> {
  const rule = fc.record({
    holdsIn,
    priority: fc.constantFrom(10, 10, 10, 20),
    action: fc.constantFrom<'allow' | 'deny'>('allow', 'allow', 'allow', 'deny'),
    log: fc.boolean(),
    from: end,
    to: end,
    service,
  });
  return fc.array(rule, { minLength: 3, maxLength: 10 }).chain((rules) =>
    fc
      .shuffledSubarray(
        rules.map((_, at) => at + 1),
        { minLength: rules.length },
      )
      .map((ids) => rules.map((one, at) => ({ ...one, id: ids[at]! * 1000 }))),
  );
}

export const accessRules = rulesIn(fc.constantFrom([7], [7], [7], [8]));
export const policies = rulesIn(fc.constantFrom<ModelRule['holdsIn'][]>('all', 'all', [7], [8], [7, 8]));

export const packet: fc.Arbitrary<ModelPacket> = fc.record({
  network: fc.constantFrom(7, 7, 7, 8),
  family,
  from: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 15 }) }, { weight: 1, arbitrary: fc.constant(99) }),
  to: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 15 }) }, { weight: 1, arbitrary: fc.constant(99) }),
  protocol: fc.constantFrom<ModelPacket['protocol']>('tcp', 'tcp', 'tcp', 'udp', 'icmp', '50'),
  port: fc.constantFrom(22, 80, 443, 8000, 8050, 8080, 8100, 8101, 1024, 1023, 65535),
  type: fc.constantFrom(8, 128, 0),
  code: fc.constantFrom(0, 1),
});

function isIn(blocks: readonly Block[], of: 4 | 6, address: number): boolean {
  return blocks.some(
    ({ family: own, base, bits }) => own === of && (bits === 32 || (address >> bits) << bits === base),
  );
}

function speaks({ protocol, ports, icmp }: Spoken, packet_: ModelPacket): boolean {
  if (protocol === 'any') return true;
  const own = packet_.protocol === 'icmp' && packet_.family === 6 ? 'icmpv6' : packet_.protocol;
  if (own !== protocol) return false;
  if (icmp !== undefined) return icmp.type === packet_.type && (icmp.code ?? packet_.code) === packet_.code;
  return (
    ports === undefined ||
    ports.some((range) => {
      const [low = 0, high = low] = range.split('-').map(Number);
      return low <= packet_.port && packet_.port <= high;
    })
  );
}

/** The rule that has the packet: lowest priority number first, deny before allow, then the lowest id. */
export function winner(rules: readonly ModelRule[], of: ModelPacket): ModelRule | undefined {
  return rules
    .filter((rule) => speaksOf(rule, of))
    .sort((a, b) => a.priority - b.priority || rank(a) - rank(b) || a.id - b.id)[0];
}

export function speaksOf(rule: ModelRule, of: ModelPacket): boolean {
  return (
    (rule.holdsIn === 'all' || rule.holdsIn.includes(of.network)) &&
    isIn(rule.from, of.family, of.from) &&
    isIn(rule.to, of.family, of.to) &&
    speaks(rule.service, of)
  );
}

const rank = ({ action }: ModelRule): number => (action === 'deny' ? 0 : 1);
