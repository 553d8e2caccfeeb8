/** The answer of a trace, for the OpenAPI document. */
import Type from 'typebox';

const Step = Type.Union([
  Type.Object({
    kind: Type.Literal('table'),
    table: Type.Integer(),
    name: Type.String(),
    depth: Type.Integer({ description: 'Resubmits around it' }),
    flow: Type.Optional(Type.String({ description: 'In the notation of ovs-ofctl; missing: a miss, which is a drop' })),
    packets: Type.Optional(Type.Integer({ description: 'Of the flow, when it was read' })),
    purpose: Type.Optional(Type.String()),
    serves: Type.Optional(Type.String({ description: 'Path of what the flow serves' })),
    seen: Type.Optional(Type.Boolean({ description: 'Live only: the flow has counted the packet' })),
  }),
  Type.Object({ kind: Type.Literal('note'), depth: Type.Integer(), text: Type.String() }),
]);

const Decision = Type.Object({
  side: Type.Unsafe<string>({ type: 'string', enum: ['sender', 'receiver'] }),
  by: Type.Unsafe<string>({ type: 'string', enum: ['rule', 'policy', 'default'] }),
  action: Type.Unsafe<string>({ type: 'string', enum: ['allow', 'deny'] }),
  path: Type.Optional(Type.String()),
  revision: Type.Optional(Type.Integer()),
  text: Type.String(),
  author: Type.Optional(
    Type.Object(
      {
        at: Type.Integer({ description: 'Milliseconds since the epoch' }),
        role: Type.String(),
        token: Type.Optional(Type.String()),
        tenant: Type.Optional(Type.String()),
      },
      { description: 'Who wrote it last, as far as the audit still knows' },
    ),
  ),
});

const Verdict = Type.Object({
  outcome: Type.Unsafe<string>({ type: 'string', enum: ['delivered', 'answered', 'refused', 'unknown'] }),
  reason: Type.String({ examples: ['delivered', 'rules', 'unbound', 'no-route', 'source'] }),
  text: Type.String(),
  decisions: Type.Array(Decision, { description: 'Of each side that was asked, in order' }),
  needs: Type.Array(Type.String(), { description: 'What would have to be ordered or done for it to pass' }),
});

const Way = Type.Object({
  from: Type.String(),
  to: Type.String(),
  probes: Type.Unsafe<string>({ type: 'string', enum: ['all', 'partly', 'none', 'not-sent'] }),
  sizes: Type.Array(
    Type.Object({ size: Type.Integer({ description: 'Of the frame, bytes' }), arrived: Type.Boolean() }),
  ),
  bfd: Type.Optional(Type.String({ description: 'State of Bidirectional Forwarding Detection at the sending end' })),
});

export const ConnectivitySchema = Type.Object(
  {
    at: Type.Integer({ description: 'Milliseconds since the epoch' }),
    worst: Type.Unsafe<string>({ type: 'string', enum: ['ok', 'warn', 'fail'] }),
    pairs: Type.Array(
      Type.Object({
        a: Type.String(),
        b: Type.String(),
        state: Type.Unsafe<string>({ type: 'string', enum: ['ok', 'warn', 'fail'] }),
        ways: Type.Array(Way, { description: 'From a to b, and back' }),
        found: Type.String(),
        advice: Type.String({ description: 'What to do; empty where nothing is to be done' }),
      }),
    ),
  },
  { $id: 'Connectivity' },
);

export const TraceSchema = Type.Object(
  {
    asked: Type.Object({
      from: Type.String({ description: 'Path of the sending port, or `outside`' }),
      to: Type.Optional(
        Type.String({ description: 'Port that has the destination address, or the public address it comes in by' }),
      ),
      source: Type.String(),
      destination: Type.String(),
      protocol: Type.String(),
      sourcePort: Type.Optional(Type.Integer()),
      destinationPort: Type.Optional(Type.Integer()),
      icmp: Type.Optional(Type.Object({ type: Type.Integer(), code: Type.Integer() })),
      state: Type.String(),
      length: Type.Integer(),
    }),
    neighbour: Type.Optional(
      Type.Object(
        { asked: Type.String(), mac: Type.Optional(Type.String()), text: Type.String() },
        { description: 'Who told the sender which MAC to send to' },
      ),
    ),
    hops: Type.Array(
      Type.Object({
        hypervisor: Type.String(),
        arrives: Type.String(),
        inPort: Type.Integer(),
        steps: Type.Array(Step),
        seen: Type.Optional(Type.Boolean({ description: 'Live only: every flow of the way here has counted it' })),
      }),
      { description: 'Not shown to tenants' },
    ),
    translated: Type.Optional(
      Type.Array(
        Type.Object({
          direction: Type.Unsafe<string>({ type: 'string', enum: ['out', 'in'] }),
          natRule: Type.String(),
          publicIp: Type.String(),
          address: Type.String({ description: 'The public one' }),
          gateway: Type.Optional(Type.String({ description: 'Where; not shown to tenants, as the next two' })),
          providerNetwork: Type.Optional(Type.String()),
          nextHop: Type.Optional(Type.String({ description: 'Router of the provider network that gets it' })),
        }),
        { description: 'NAT rules it went by, in order' },
      ),
    ),
    beyond: Type.Optional(
      Type.Boolean({ description: 'It comes to a public address of another tenant; not shown to tenants' }),
    ),
    verdict: Verdict,
    opening: Type.Optional(Verdict),
    live: Type.Optional(
      Type.Object({
        sent: Type.Boolean(),
        arrived: Type.Boolean(),
        seen: Type.Optional(Type.Integer()),
        of: Type.Optional(Type.Integer()),
        text: Type.String(),
      }),
    ),
  },
  { $id: 'Trace' },
);
