/** Random flows of the whole vocabulary that Open vSwitch accepts, and random matches written in ways that are not canonical. */
import fc from 'fast-check';
import { packetInReasons } from '../../plugins/openvswitch/openflow/packet-in-action.ts';
import {
  type Action,
  type FieldName,
  type Flow,
  fieldBits,
  type Match,
  type MatchValue,
  reservedPort,
  type Scalar,
  type Subfield,
} from '../../src/pipeline/flow.ts';

function toScalar(field: FieldName, value: bigint): Scalar {
  return fieldBits[field] <= 48 ? Number(value) : value;
}

/** Any value of a field, the edges often. */
function anyValue(field: FieldName): fc.Arbitrary<bigint> {
  const most = (1n << BigInt(fieldBits[field])) - 1n;
  return fc.oneof(
    { weight: 6, arbitrary: fc.bigInt({ min: 0n, max: most }) },
    { weight: 1, arbitrary: fc.constantFrom(0n, 1n, most, most >> 1n) },
  );
}

const narrower: Partial<Record<FieldName, bigint>> = { ct_state: 0xffn, arp_op: 0xffn };

function exactly(field: FieldName): fc.Arbitrary<MatchValue> {
  if (field === 'in_port') return anyPort();
  return anyValue(field).map((value) => toScalar(field, value & (narrower[field] ?? value)));
}

/** Exact or masked; a mask may also be all ones or zero, and the value may have bits outside it. */
function maybeMasked(field: FieldName): fc.Arbitrary<MatchValue> {
  const masked = fc.tuple(anyValue(field), anyValue(field)).map(([value, mask]) => ({
    value: toScalar(field, value & (narrower[field] ?? value)),
    mask: toScalar(field, mask),
  }));
  const prefix = fc.tuple(anyValue(field), fc.nat({ max: fieldBits[field] })).map(([value, length]) => {
    const all = (1n << BigInt(fieldBits[field])) - 1n;
    const mask = all ^ ((1n << BigInt(fieldBits[field] - length)) - 1n);
    return { value: toScalar(field, value & (narrower[field] ?? value)), mask: toScalar(field, mask) };
  });
  return fc.oneof(exactly(field), masked, prefix);
}

export function anyPort(): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 0xfeff }) },
    { weight: 1, arbitrary: fc.constantFrom<number>(reservedPort.local, 1, 0xfeff) },
  );
}

const exactOnly = new Set<FieldName>(
  'in_port conj_id eth_type vlan_pcp ip_proto ip_dscp ip_ecn ip_ttl arp_op icmpv4_type icmpv4_code icmpv6_type icmpv6_code nd_reserved nd_options_type ct_zone'.split(
    ' ',
  ) as FieldName[],
);

function some(fields: readonly FieldName[]): fc.Arbitrary<Match> {
  const model = Object.fromEntries(
    fields.map((field) => [field, exactOnly.has(field) ? exactly(field) : maybeMasked(field)]),
  );
  // Each field is there one time in three.
  return fc
    .tuple(fc.record(model), fc.tuple(...fields.map(() => fc.nat({ max: 2 }))))
    .map(([match, there]) => Object.fromEntries(Object.entries(match).filter((_, index) => there[index] === 0)));
}

const registers = Array.from({ length: 16 }, (_, index) => `reg${index}` as FieldName);
const anywhere: FieldName[] = ['in_port', 'eth_src', 'eth_dst', 'tun_id', 'tun_src', 'tun_dst', 'metadata'];
anywhere.push('pkt_mark', 'ct_state', 'ct_zone', 'ct_mark', 'ct_label', 'conj_id');
const ipAny: FieldName[] = ['ip_dscp', 'ip_ecn', 'ip_ttl'];
const v4: FieldName[] = [...ipAny, 'ipv4_src', 'ipv4_dst'];
const v6: FieldName[] = [...ipAny, 'ipv6_src', 'ipv6_dst'];

const fragment = fc.constantFrom<Match>(
  {},
  {},
  {},
  { ip_frag: 0 },
  { ip_frag: 1 },
  { ip_frag: { value: 1, mask: 1 } },
  { ip_frag: { value: 0, mask: 2 } },
);
const later = fc.constantFrom<Match>({ ip_frag: 3 }, { ip_frag: { value: 2, mask: 2 } }, {});

const vlan = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Match>({}) },
  { weight: 1, arbitrary: fc.constant<Match>({ vlan_vid: 0 }) },
  {
    weight: 2,
    arbitrary: fc
      .record({
        vlan_vid: fc.oneof(
          fc.nat({ max: 0xfff }).map((vid) => vid | 0x1000),
          fc.constant({ value: 0x1000, mask: 0x1000 }),
          fc
            .tuple(fc.nat({ max: 0xfff }), fc.nat({ max: 0xfff }))
            .map(([vid, mask]) => ({ value: vid | 0x1000, mask: mask | 0x1000 })),
        ),
        pcp: fc.option(fc.nat({ max: 7 }), { nil: undefined }),
      })
      .map(({ vlan_vid, pcp }): Match => (pcp === undefined ? { vlan_vid } : { vlan_vid, vlan_pcp: pcp })),
  },
);

function kindOfPacket(fixed: Match, ...parts: fc.Arbitrary<Match>[]): fc.Arbitrary<Match> {
  return fc.tuple(...parts).map((matches) => Object.assign({ ...fixed }, ...matches) as Match);
}

function ip(version: 4 | 6): fc.Arbitrary<Match>[] {
  const base: Match = { eth_type: version === 4 ? 0x0800 : 0x86dd };
  const fields = some(version === 4 ? v4 : v6);
  const kinds = [
    kindOfPacket(base, fields, later),
    kindOfPacket(
      base,
      fields,
      later,
      fc.nat({ max: 255 }).map((ip_proto) => ({ ip_proto })),
    ),
    kindOfPacket({ ...base, ip_proto: 6 }, fields, fragment, some(['tcp_src', 'tcp_dst', 'tcp_flags'])),
    kindOfPacket({ ...base, ip_proto: 17 }, fields, fragment, some(['udp_src', 'udp_dst'])),
    kindOfPacket({ ...base, ip_proto: 132 }, fields, fragment, some(['sctp_src', 'sctp_dst'])),
  ];
  if (version === 4) kinds.push(kindOfPacket({ ...base, ip_proto: 1 }, fields, some(['icmpv4_type', 'icmpv4_code'])));
  else {
    kinds.push(kindOfPacket({ ...base, ip_proto: 58 }, fields, some(['icmpv6_type', 'icmpv6_code'])));
    const nd: FieldName[] = ['nd_target', 'nd_reserved', 'nd_options_type'];
    const code = fc.constantFrom<Match>({}, { icmpv6_code: 0 });
    kinds.push(kindOfPacket({ ...base, ip_proto: 58, icmpv6_type: 135 }, fields, code, some([...nd, 'nd_sll'])));
    kinds.push(kindOfPacket({ ...base, ip_proto: 58, icmpv6_type: 136 }, fields, code, some([...nd, 'nd_tll'])));
  }
  return kinds;
}

const packetKinds = fc.oneof(
  fc.constant<Match>({}),
  ...ip(4),
  ...ip(6),
  kindOfPacket({ eth_type: 0x0806 }, some(['arp_op', 'arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha'])),
  kindOfPacket({ eth_type: 0x8035 }, some(['arp_op', 'arp_sha'])),
  fc.constantFrom<Match>({ eth_type: 0x88cc }, { eth_type: 0x8847 }, { eth_type: 0x0842 }),
);

/** Matches that meet their prerequisites, with their keys in any order. */
export const anyMatch: fc.Arbitrary<Match> = fc
  .tuple(packetKinds, vlan, some(anywhere), some(registers), fc.boolean())
  .map(([kind, tag, elsewhere, regs, backwards]) => {
    const match: Match = { ...kind, ...tag, ...elsewhere, ...regs };
    return backwards ? (Object.fromEntries(Object.entries(match).reverse()) as Match) : match;
  });

/** Fields that may be written whatever the match says. */
const alwaysWritable: FieldName[] = [
  ...registers,
  'xxreg0',
  'xxreg3',
  'eth_src',
  'eth_dst',
  'tun_id',
  'tun_src',
  'tun_dst',
  'metadata',
];
alwaysWritable.push('pkt_mark');

function writable(match: Match): FieldName[] {
  const fields = [...alwaysWritable];
  const { eth_type, ip_proto, icmpv6_type, icmpv6_code } = match;
  if (eth_type === 0x0800 || eth_type === 0x86dd) fields.push('ip_dscp', 'ip_ecn', 'ip_ttl');
  if (eth_type === 0x0800) fields.push('ipv4_src', 'ipv4_dst');
  if (eth_type === 0x86dd) fields.push('ipv6_src', 'ipv6_dst');
  if (eth_type === 0x0806) fields.push('arp_op', 'arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha');
  const isFragment = match.ip_frag !== undefined;
  const isIp = eth_type === 0x0800 || eth_type === 0x86dd;
  if (isIp && !isFragment) {
    if (ip_proto === 6) fields.push('tcp_src', 'tcp_dst');
    if (ip_proto === 17) fields.push('udp_src', 'udp_dst');
    if (ip_proto === 132) fields.push('sctp_src', 'sctp_dst');
  }
  if (eth_type === 0x0800 && ip_proto === 1) fields.push('icmpv4_type', 'icmpv4_code');
  if (eth_type === 0x86dd && ip_proto === 58) {
    fields.push('icmpv6_type', 'icmpv6_code');
    if ((icmpv6_type === 135 || icmpv6_type === 136) && (icmpv6_code ?? 0) === 0) {
      fields.push('nd_target', 'nd_reserved', 'nd_options_type', icmpv6_type === 135 ? 'nd_sll' : 'nd_tll');
    }
  }
  const { vlan_vid } = match;
  const tag = typeof vlan_vid === 'object' ? vlan_vid.value : (vlan_vid ?? 0);
  if (Number(tag) & 0x1000) fields.push('vlan_vid', 'vlan_pcp');
  return fields;
}

function setField(fields: readonly FieldName[]): fc.Arbitrary<Action> {
  return fc.constantFrom(...fields).chain((field) =>
    fc.tuple(anyValue(field), fc.option(anyValue(field), { nil: undefined })).map(([value, mask]): Action => {
      if (field === 'vlan_vid') return { type: 'setField', field, value: Number(value | 0x1000n) };
      if (field === 'arp_op') return { type: 'setField', field, value: Number(value & 0xffn) };
      if (mask === undefined || mask === 0n || exactOnly.has(field))
        return { type: 'setField', field, value: toScalar(field, value) };
      return { type: 'setField', field, value: toScalar(field, value), mask: toScalar(field, mask) };
    }),
  );
}

function widthOf(field: FieldName): number {
  return field === 'vlan_vid' ? 12 : fieldBits[field];
}

function subfield(fields: readonly FieldName[], bits?: number): fc.Arbitrary<Subfield> {
  const wide = fields.filter((field) => widthOf(field) >= (bits ?? 1));
  return fc.constantFrom(...wide).chain((field) =>
    fc.nat({ max: widthOf(field) - (bits ?? 1) }).chain((offset) =>
      fc.integer({ min: bits ?? 1, max: bits ?? Math.min(64, widthOf(field) - offset) }).map((width) => ({
        field,
        offset,
        bits: width,
      })),
    ),
  );
}

function move(sources: readonly FieldName[], targets: readonly FieldName[]): fc.Arbitrary<Action> {
  return subfield(targets).chain((target) =>
    subfield([...sources, ...targets], target.bits).map((source): Action => ({ type: 'move', source, target })),
  );
}

function conntrack(match: Match): fc.Arbitrary<Action> {
  const readable: FieldName[] = [...registers, 'metadata'];
  const nat = fc.oneof(
    fc.constant({ kind: 'restore' as const }),
    fc.record({ kind: fc.constantFrom('src' as const, 'dst' as const) }),
    fc
      .record({
        kind: fc.constantFrom('src' as const, 'dst' as const),
        ips: fc.tuple(fc.integer({ min: 1, max: 0xffffffff }), fc.integer({ min: 1, max: 0xffffffff })),
        ports: fc.tuple(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 1, max: 0xffff })),
        how: fc.nat({ max: 5 }),
      })
      .map(({ kind, ips, ports, how }) => {
        const [ipMin, ipMax] = ips.toSorted((a, b) => a - b) as [number, number];
        const [portMin, portMax] = ports.toSorted((a, b) => a - b) as [number, number];
        return [
          { kind, ipMin },
          { kind, ipMin, ipMax },
          { kind, ipMin, portMin },
          { kind, ipMin, ipMax, portMin, portMax },
          { kind, ipMin, portMin, portMax },
          { kind, ipMin, ipMax: ipMin },
        ][how]!;
      }),
  );
  const exec = fc.array(
    fc.oneof(setField(['ct_mark', 'ct_label']), move(['reg1', 'reg9', 'metadata'], ['ct_mark', 'ct_label'])),
    { minLength: 1, maxLength: 3 },
  );
  // What is known to be invalid cannot be committed.
  const state = match.ct_state;
  const invalid =
    ((typeof state === 'object' ? Number(state.value) & Number(state.mask) : Number(state ?? 0)) & 0x10) !== 0;
  const v4Only = match.eth_type === 0x0800;
  return fc
    .record({
      commit: invalid ? fc.constant(false) : fc.boolean(),
      force: fc.boolean(),
      zone: fc.oneof(fc.nat({ max: 0xffff }), subfield(readable, 16)),
      table: fc.option(fc.nat({ max: 253 }), { nil: undefined }),
      alg: fc.option(
        fc.constant(match.ip_proto === 6 ? ('ftp' as const) : match.ip_proto === 17 ? ('tftp' as const) : undefined),
        { nil: undefined },
      ),
      nat: fc.option(nat, { nil: undefined }),
      exec: fc.option(exec, { nil: undefined }),
    })
    .map(({ commit, force, zone, table, alg, nat: range, exec: inner }): Action => {
      const action: Extract<Action, { type: 'ct' }> = { type: 'ct', zone };
      if (commit) action.commit = true;
      if (commit && force) action.force = true;
      if (table !== undefined) action.table = table;
      if (alg !== undefined) action.alg = alg;
      if (range !== undefined && (v4Only || !('ipMin' in range)) && (commit || range.kind === 'restore'))
        action.nat = range;
      // Without commit there is nothing to write to.
      if (inner !== undefined && commit) action.exec = inner;
      return action;
    });
}

const note = fc.uint8Array({ maxLength: 30 }).map((data): Action => ({ type: 'note', data: new Uint8Array(data) }));

const conjunction = fc.integer({ min: 2, max: 64 }).chain((clauses) =>
  fc.record({
    type: fc.constant('conjunction' as const),
    id: fc.nat({ max: 0xffffffff }),
    clause: fc.integer({ min: 1, max: clauses }),
    clauses: fc.constant(clauses),
  }),
);

const controller = fc
  .record({
    userdata: fc.uint8Array({ minLength: 1, maxLength: 30 }),
    id: fc.option(fc.integer({ min: 1, max: 0xffff }), { nil: undefined }),
    meter: fc.option(fc.constantFrom(1, 300), { nil: undefined }),
    maxLength: fc.option(fc.nat({ max: 0xfffe }), { nil: undefined }),
    reason: fc.constantFrom(undefined, ...packetInReasons.filter((reason) => reason !== 'action')),
  })
  .map(({ userdata, id, meter, maxLength, reason }): Action => {
    const action: Extract<Action, { type: 'controller' }> = { type: 'controller', userdata: new Uint8Array(userdata) };
    if (id !== undefined) action.id = id;
    if (meter !== undefined) action.meter = meter;
    if (maxLength !== undefined) action.maxLength = maxLength;
    if (reason !== undefined) action.reason = reason;
    return action;
  });

const members = fc.array(anyPort(), { minLength: 1, maxLength: 6 });

/** Groups and meters that a switch must have for these flows. */
export const groups = [1, 77] as const;
export const meters = [1, 300] as const;

function anyActions(match: Match): fc.Arbitrary<Action[]> {
  const targets = writable(match);
  const isIp = match.eth_type === 0x0800 || match.eth_type === 0x86dd;
  const reservedOutputs = [reservedPort.inPort, reservedPort.controller, reservedPort.local];
  const kinds: fc.Arbitrary<Action>[] = [
    fc.record({ type: fc.constant('output' as const), port: fc.oneof(anyPort(), fc.constantFrom(...reservedOutputs)) }),
    fc.record({ type: fc.constant('outputReg' as const), source: subfield([...registers, 'metadata', 'tun_id']) }),
    fc.record({ type: fc.constant('group' as const), group: fc.constantFrom(...groups) }),
    fc.record({ type: fc.constant('meter' as const), meter: fc.constantFrom(...meters) }),
    setField(targets),
    setField(targets),
    fc.record({ type: fc.constant('setField' as const), field: fc.constant('in_port' as const), value: anyPort() }),
    move(['in_port', 'ct_mark', 'ct_label', 'ct_zone', 'ct_state'], targets),
    fc.constant<Action>({ type: 'ctClear' }),
    fc.record({ type: fc.constant('resubmit' as const), table: fc.nat({ max: 253 }) }),
    fc.record({ type: fc.constant('resubmit' as const), table: fc.nat({ max: 253 }), port: anyPort() }),
    note,
    controller,
    fc.record({ type: fc.constant('bundle' as const), members }),
    fc.record({
      type: fc.constant('bundleLoad' as const),
      target: subfield([...registers, 'metadata', 'tun_id', 'xxreg1'], 16),
      members,
    }),
    fc.record({
      type: fc.constant('bundleLoad' as const),
      target: subfield(
        targets.filter((field) => !field.startsWith('nd_')),
        32,
      ),
      members,
    }),
    fc.record({
      type: fc.constant('checkPktLarger' as const),
      length: fc.nat({ max: 0xffff }),
      target: subfield(targets, 1),
    }),
    fc.record({ type: fc.constant('push' as const), source: subfield([...targets, 'in_port', 'ct_label']) }),
    fc.record({ type: fc.constant('pop' as const), target: subfield(targets) }),
    fc.record({
      type: fc.constant('clone' as const),
      actions: fc.array(fc.oneof(setField(targets), controller, fc.constant<Action>({ type: 'output', port: 3 })), {
        maxLength: 3,
      }),
    }),
  ];
  if (isIp) kinds.push(conntrack(match), conntrack(match), fc.constant<Action>({ type: 'decTtl' }));
  return fc.array(fc.oneof(...kinds), { maxLength: 6 });
}

/** Flows that Open vSwitch accepts, if it has `groups` and `meters`. */
export const anyFlow: fc.Arbitrary<Flow> = anyMatch.chain((match) =>
  fc
    .record({
      table: fc.nat({ max: 252 }),
      priority: fc.oneof(fc.nat({ max: 0xffff }), fc.constant(0x8000)),
      cookie: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
      actions: anyActions(match),
      clause: fc.option(fc.array(fc.oneof(conjunction, note), { minLength: 1, maxLength: 3 }), {
        nil: undefined,
        freq: 8,
      }),
      further: fc.option(fc.nat({ max: 253 }), { nil: undefined }),
    })
    .map(({ table, priority, cookie, actions, clause, further }): Flow => {
      if (clause?.some((action) => action.type === 'conjunction')) {
        return { table, priority, cookie, match, actions: clause };
      }
      const flow: Flow = { table, priority, cookie, match, actions };
      if (further !== undefined && further > table) flow.goto = further;
      return flow;
    }),
);
