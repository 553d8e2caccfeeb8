/** Commands that look at switches, addresses, events and the controller itself, and those that apply files. */
import type { Command, Flag, Group } from '../command.ts';
import { model } from '../model.ts';

/** A kind that lives as deep as any: its parents are every place there is. */
const innermost = model.kinds.reduce((a, b) => (b.parents.length > a.parents.length ? b : a)).kind;

const files: Flag = {
  name: 'file',
  short: 'f',
  type: 'value',
  many: true,
  required: true,
  placeholder: 'FILE',
  description: 'YAML (several documents) or JSON; - reads standard input (repeatable)',
  complete: 'files',
};

const prune: Flag = {
  name: 'prune',
  type: 'value',
  placeholder: 'label=KEY=VALUE',
  description: 'Delete what carries the label and is not in the files',
};

const fileDetails = [
  'A document is one resource ({path: tenants/acme/networks/shop, spec: {…}}, or kind, name and parents beside the spec), a list of them under resources:, or what get or list printed with -o yaml. delete: true deletes the resource.',
  'All files together are one transaction: everything is applied under one revision, or nothing is. Faults name file, line and document.',
];

const hypervisor = {
  name: 'HYPERVISOR',
  description: 'Name of the hypervisor',
  required: true,
  complete: { path: 'hypervisor' },
};

export const inspectionCommands: Command[] = [
  {
    words: ['apply'],
    summary: 'Create, replace and delete the resources of files, as one transaction',
    details: fileDetails,
    positionals: [],
    flags: [files, prune],
    shared: ['wait', 'dryRun', 'json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway apply -f intent.yaml --wait', says: 'Apply, and return once the switches have acknowledged' },
      {
        line: 'keyway apply -f intent.yaml --prune label=app=shop',
        says: 'And delete what has the label but is no longer in the file',
      },
    ],
    load: async () => (await import('../handlers/apply.ts')).apply,
  },
  {
    words: ['plan'],
    summary: 'Show what applying files would change, flows per switch included',
    details: fileDetails,
    positionals: [],
    flags: [
      files,
      prune,
      { name: 'exit-code', type: 'switch', description: 'Exit with 1 when something would change' },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway plan -f intent.yaml', says: 'What would change, and how many flows on which switch' },
      { line: 'keyway port get acme/shop/web1 -o yaml | keyway plan -f -', says: 'What was read can be put back' },
    ],
    load: async () => (await import('../handlers/apply.ts')).plan,
  },
  {
    words: ['flows', 'dump'],
    summary: 'Flows of a hypervisor in the notation of ovs-ofctl, with table, counters and whom each serves',
    details: ['Lines that begin with # say which table, and whom the flows after them serve.'],
    positionals: [hypervisor],
    flags: [
      {
        name: 'tenant',
        type: 'value',
        placeholder: 'NAME',
        description: 'Only flows that serve this tenant',
        complete: { names: 'tenant' },
      },
      {
        name: 'table',
        type: 'value',
        placeholder: 'TABLE',
        description: 'Only flows of this table, by number or name',
      },
      {
        name: 'port',
        type: 'value',
        placeholder: 'PORT',
        description: 'Only flows that serve this port: TENANT/NETWORK/NAME',
        complete: { path: 'port' },
      },
      { name: 'desired', type: 'switch', description: 'What Keyway wants there, instead of what the switch has now' },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway flows dump hv1', says: 'Every flow, read from the switch now' },
      { line: 'keyway flows dump hv1 --port acme/shop/web1 --desired', says: 'What Keyway wants for one port' },
    ],
    load: async () => (await import('../handlers/flows.ts')).dump,
  },
  {
    words: ['flows', 'diff'],
    summary: 'Desired flows of a hypervisor against installed ones; exits with 1 when they differ',
    positionals: [hypervisor],
    flags: [],
    shared: ['json', 'timeout', 'connection'],
    examples: [{ line: 'keyway flows diff hv1', says: 'Missing, extra and different flows, read from the switch now' }],
    load: async () => (await import('../handlers/flows.ts')).diff,
  },
  {
    words: ['flows', 'explain'],
    summary: 'What a flow does, in words, and whom it serves',
    positionals: [
      {
        name: 'COOKIE|FLOW',
        description: 'A cookie, or a flow in the notation of ovs-ofctl',
        required: true,
        many: true,
      },
    ],
    flags: [],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway flows explain 0x10a000000000007', says: 'By the cookie that ovs-ofctl dump-flows shows' },
      { line: "keyway flows explain 'table=0,priority=100,in_port=5 actions=drop'", says: 'By the flow itself' },
    ],
    load: async () => (await import('../handlers/flows.ts')).explain,
  },
  {
    words: ['where'],
    summary:
      'Which port has an IP, MAC, name or iface-id, or which public address is meant, and on which hypervisor it is; exits with 1 when none has',
    positionals: [
      {
        name: 'IP|MAC|PORT|IFACE-ID',
        description: 'What to look for, in every tenant',
        required: true,
        complete: { path: 'port' },
      },
    ],
    flags: [],
    shared: ['output', 'timeout', 'connection'],
    examples: [
      { line: 'keyway where 10.0.1.10', says: 'By address: tenants may use the same one, so there may be several' },
      { line: 'keyway where acme/shop/web1', says: 'By name' },
      { line: 'keyway where 203.0.113.10', says: 'Whose public address it is, and who is in charge of it' },
    ],
    load: async () => (await import('../handlers/where.ts')).where,
  },
  {
    words: ['trace'],
    summary:
      'Follow a packet over every switch on its way, to the rule that decided; exits with 1 when it does not arrive',
    details: [
      'The flows are those installed now, read from the switches. Nothing is sent, unless --live is given.',
      'At the end stands what decided, who ordered it, and what would have to be ordered for the packet to pass.',
    ],
    positionals: [],
    flags: [
      {
        name: 'from',
        type: 'value',
        required: true,
        placeholder: 'PORT|outside[:IP]',
        description:
          'The sending port: TENANT/NETWORK/NAME. outside: somebody beyond a provider network, with that address where one is given',
        complete: { path: 'port' },
      },
      {
        name: 'to',
        type: 'value',
        required: true,
        placeholder: 'IP|PORT',
        description:
          'An address, or the receiving port; public-ip:TENANT/NETWORK/NAME; of a port also dhcp, dhcpv6 or router: what it asks everybody on its link',
        complete: { path: 'port' },
      },
      {
        name: 'proto',
        type: 'value',
        placeholder: 'PROTOCOL',
        description: 'Name or number as in rules; icmp unless told, tcp where ports are given',
      },
      { name: 'dport', type: 'value', placeholder: 'PORT', description: 'Destination port of TCP, UDP or SCTP' },
      { name: 'sport', type: 'value', placeholder: 'PORT', description: 'Source port; 49152 unless told' },
      {
        name: 'icmp',
        type: 'value',
        placeholder: 'TYPE[/CODE]',
        description: 'ICMP type; an echo request unless told',
      },
      {
        name: 'state',
        type: 'value',
        placeholder: 'new|established|reply',
        description:
          'It opens a connection (unless told), is part of one that is up, or answers on one that --to opened',
        values: ['new', 'established', 'reply'],
      },
      {
        name: 'source',
        type: 'value',
        placeholder: 'IP',
        description: "Address to send from; the port's own unless told",
      },
      { name: 'ttl', type: 'value', placeholder: 'N', description: 'Time to live; 64 unless told' },
      { name: 'length', type: 'value', placeholder: 'BYTES', description: 'Of the frame; 98 unless told' },
      {
        name: 'live',
        type: 'switch',
        description: 'Really send the packet, and say which flows have counted it: the receiver sees it',
      },
      {
        name: 'assume-down',
        type: 'value',
        placeholder: 'NAME,NAME',
        description: 'Hypervisors taken to be dead: what a failover would do',
        complete: { names: 'hypervisor' },
      },
      { name: 'brief', type: 'switch', description: 'The verdict only, without tables and flows' },
      {
        name: 'tenant',
        type: 'value',
        placeholder: 'NAME',
        description: 'Tenant of ports written without it',
        complete: { names: 'tenant' },
      },
      {
        name: 'network',
        type: 'value',
        placeholder: 'NAME',
        description: 'Network of ports written without it',
        complete: { names: 'network' },
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      {
        line: 'keyway trace --from acme/shop/web1 --to acme/shop/db1 --proto tcp --dport 5432',
        says: 'Why it does not arrive, or that it does',
      },
      { line: 'keyway trace --from acme/shop/web1 --to 10.0.2.10 --brief', says: 'A ping, the verdict only' },
      {
        line: 'keyway trace --from outside --to 203.0.113.10 --proto tcp --dport 443',
        says: 'Whether what is published is reached, and what is missing where not',
      },
      {
        line: 'keyway trace --from acme/shop/web1 --to 198.51.100.7 --dport 80 --assume-down gw1',
        says: 'The way out: by which gateway and address, were gw1 dead',
      },
    ],
    load: async () => (await import('../handlers/trace.ts')).trace,
  },
  {
    words: ['connectivity', 'check'],
    summary: 'Send probes over the tunnels between hypervisors; exits with 1 when one does not carry them',
    details: [
      'Frames of several sizes, up to what the MTU of the underlay leaves room for, in both directions, under a key that no tenant has. No VM sees them.',
      'SIZES are those of the largest frame that arrived, there and back, in bytes.',
    ],
    positionals: [],
    flags: [
      {
        name: 'hypervisors',
        type: 'value',
        placeholder: 'NAME,NAME',
        description: 'Only tunnels between these; of one, all it has',
        complete: { names: 'hypervisor' },
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway connectivity check', says: 'Every tunnel' },
      { line: 'keyway connectivity check --hypervisors hv1,hv2', says: 'The one between the two' },
    ],
    load: async () => (await import('../handlers/connectivity.ts')).check,
  },
  {
    words: ['usage', 'list'],
    summary: 'What ports and public addresses have used, those deleted among them',
    details: [
      'As it was last written, within about a minute: what there is by path, then what was deleted, which is kept for 40 days. A tenant is told of its own.',
    ],
    positionals: [],
    flags: [
      {
        name: 'tenant',
        type: 'value',
        placeholder: 'NAME',
        description: 'Of this tenant only; never taken from the environment or the profile',
        complete: { names: 'tenant' },
      },
      {
        name: 'since',
        type: 'value',
        placeholder: 'TIME',
        description:
          'Only what has changed, or was deleted, then or later: 2026-01-31, 2026-01-31T12:00:00Z, or milliseconds since the epoch',
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway usage list --tenant acme', says: 'Everything a tenant has, and had lately' },
      { line: 'keyway usage list --since 2026-01-31 -o json', says: 'For billing: what has changed since' },
    ],
    load: async () => (await import('../handlers/usage.ts')).list,
  },
  {
    words: ['events'],
    summary: 'Follow changes of intent and of status until interrupted',
    positionals: [
      {
        name: 'PLACE',
        description: 'Only what lies in it: TENANT, TENANT/NETWORK or a whole path',
        complete: { parent: innermost },
      },
    ],
    flags: [
      {
        name: 'since',
        type: 'value',
        placeholder: 'REVISION',
        description: 'Begin with the changes after this revision; else with those to come',
      },
      {
        name: 'status',
        type: 'value',
        placeholder: 'all|changes|none',
        description:
          'Present status of everything and what changes of it, only what changes (unless told), or none of it',
        values: ['all', 'changes', 'none'],
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway events', says: 'What happens from now on' },
      { line: 'keyway events acme/shop --status all', says: 'In one network, its present status first' },
      {
        line: 'keyway events --since 120 -o json',
        says: 'Everything after revision 120, a JSON document on each line',
      },
    ],
    load: async () => (await import('../handlers/events.ts')).events,
  },
  {
    words: ['status'],
    summary: 'The controller and its hypervisors; exits with 1 when something is not as it should be',
    positionals: [],
    flags: [],
    shared: ['json', 'timeout', 'connection'],
    examples: [{ line: 'keyway status', says: 'How things stand' }],
    load: async () => (await import('../handlers/status.ts')).status,
  },
  {
    words: ['health'],
    summary: 'Whether the controller lives and is ready; exits with 1 when it is not',
    positionals: [],
    flags: [],
    shared: ['json', 'timeout', 'connection'],
    examples: [{ line: 'keyway health --timeout 2s', says: 'For probes and scripts' }],
    load: async () => (await import('../handlers/status.ts')).health,
  },
];

export const inspectionGroups: Group[] = [
  { word: 'apply', summary: 'Apply the resources of files, as one transaction', section: 'Inspection' },
  { word: 'plan', summary: 'What applying files would change, flows included', section: 'Inspection' },
  { word: 'flows', summary: 'Flows of a hypervisor: dump, diff, explain', section: 'Inspection' },
  { word: 'where', summary: 'Which port has an IP, MAC or iface-id, and where it is', section: 'Inspection' },
  { word: 'connectivity', summary: 'Whether tunnels between hypervisors carry frames', section: 'Inspection' },
  { word: 'trace', summary: 'Why a packet arrives, or does not', section: 'Inspection' },
  { word: 'usage', summary: 'What ports and public addresses have used', section: 'Inspection' },
  { word: 'events', summary: 'Follow changes of intent and of status', section: 'Inspection' },
  { word: 'status', summary: 'The controller and its hypervisors', section: 'Inspection' },
  { word: 'health', summary: 'Whether the controller lives and is ready', section: 'Inspection' },
];
