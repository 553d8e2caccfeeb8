/** Access, settings and the shell. `serve` and `sandbox` are the program's own: named here for help and completion. */
import type { Command, Flag, Group } from '../command.ts';
import { shells } from '../completion-scripts.ts';
import { parentKinds } from '../profiles.ts';

const profileName = { name: 'NAME', description: 'Name of the profile', required: true, complete: 'profiles' as const };

const profileDefaults = parentKinds.map(
  (kind): Flag => ({
    name: kind,
    type: 'value',
    placeholder: 'NAME',
    description: `The ${kind} that is meant when none is written; empty takes it away`,
    complete: { names: kind },
  }),
);

export const otherCommands: Command[] = [
  {
    words: ['token', 'create'],
    summary: 'Make a token; it is shown this once',
    positionals: [{ name: 'DESCRIPTION', description: 'For people: whom it is for', required: true }],
    flags: [
      {
        name: 'role',
        type: 'value',
        required: true,
        placeholder: 'ROLE',
        description:
          'admin, operator (hypervisors; reads the rest), orchestrator (tenants and what is theirs), tenant:NAME, or gateway-host:HYPERVISOR (for keyway gateway-host there)',
        complete: {
          members: [
            { name: 'admin', bare: true },
            { name: 'operator', bare: true },
            { name: 'orchestrator', bare: true },
            { name: 'tenant:', names: 'tenant' },
            { name: 'gateway-host:', names: 'hypervisor' },
          ],
        },
      },
      {
        name: 'expires',
        type: 'value',
        placeholder: 'TIME',
        description: 'How long it is good: 12h, 30d; for ever when left out',
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway token create ci --role tenant:acme --expires 30d', says: 'For the pipeline of tenant acme' },
    ],
    load: async () => (await import('../handlers/access.ts')).createToken,
  },
  {
    words: ['token', 'list'],
    summary: 'Tokens there are: never the secret itself',
    positionals: [],
    flags: [],
    shared: ['output', 'timeout', 'connection'],
    examples: [{ line: 'keyway token list', says: 'Who has access, and until when' }],
    load: async () => (await import('../handlers/access.ts')).listTokens,
  },
  {
    words: ['token', 'delete'],
    summary: 'Revoke tokens, at once',
    positionals: [
      {
        name: 'ID',
        description: 'As token list shows it; several may be given',
        required: true,
        many: true,
        complete: { names: 'token' },
      },
    ],
    flags: [],
    shared: ['timeout', 'connection'],
    examples: [{ line: 'keyway token delete 7f3a9c', says: 'Its next request is refused' }],
    load: async () => (await import('../handlers/access.ts')).deleteTokens,
  },
  {
    words: ['audit', 'list'],
    summary: 'Who did what, and when',
    positionals: [],
    flags: [
      {
        name: 'limit',
        type: 'value',
        placeholder: 'N',
        description: 'At most this many, the latest (100 unless told)',
      },
      {
        name: 'by',
        type: 'value',
        placeholder: 'ID',
        description: 'Only what was done with this token',
        complete: { names: 'token' },
      },
      {
        name: 'tenant',
        type: 'value',
        placeholder: 'NAME',
        description: 'Only what concerned this tenant',
        complete: { names: 'tenant' },
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [{ line: 'keyway audit list --limit 20', says: 'The latest twenty entries' }],
    load: async () => (await import('../handlers/access.ts')).listAudit,
  },
  {
    words: ['profile', 'list'],
    summary: 'Profiles there are',
    positionals: [],
    flags: [],
    shared: ['json'],
    examples: [{ line: 'keyway profile list', says: 'The one in use is marked' }],
    load: async () => (await import('../handlers/profile.ts')).list,
  },
  {
    words: ['profile', 'use'],
    summary: 'Use a profile from now on',
    positionals: [profileName],
    flags: [],
    shared: [],
    examples: [
      { line: 'keyway profile use lab', says: 'Until another is chosen; KEYWAY_PROFILE and --profile go before it' },
    ],
    load: async () => (await import('../handlers/profile.ts')).use,
  },
  {
    words: ['profile', 'set'],
    summary: 'Make or change a profile',
    positionals: [profileName],
    flags: [
      {
        name: 'url',
        type: 'value',
        placeholder: 'URL',
        description: 'http://HOST:PORT, https://HOST:PORT or unix:/PATH',
      },
      {
        name: 'token-file',
        type: 'value',
        placeholder: 'FILE',
        description: 'File that holds the token; the token itself is not copied',
        complete: 'files',
      },
      ...profileDefaults,
    ],
    shared: [],
    examples: [
      {
        line: 'keyway profile set lab --url http://127.0.0.1:8080 --token-file ./token --tenant acme --network shop',
        says: 'Then keyway port list needs no more',
      },
    ],
    load: async () => (await import('../handlers/profile.ts')).set,
  },
  {
    words: ['profile', 'delete'],
    summary: 'Forget a profile',
    positionals: [profileName],
    flags: [],
    shared: [],
    examples: [{ line: 'keyway profile delete lab', says: 'The file with its token stays' }],
    load: async () => (await import('../handlers/profile.ts')).remove,
  },
  {
    words: ['shell'],
    summary: 'Type commands one after another, with completion and history',
    details: [
      'use acme/shop sets the tenant and network that are meant from there on; use alone forgets them. exit or Ctrl-D leaves.',
    ],
    positionals: [],
    flags: [],
    shared: ['connection'],
    examples: [{ line: 'keyway shell', says: 'Then: use acme/shop, port list, flows dump hv1' }],
    load: async () => (await import('../shell.ts')).shell,
  },
  {
    words: ['completion'],
    summary: 'Print what a shell reads to complete keyway, live names included',
    positionals: [{ name: shells.join('|'), description: 'Which shell', required: true, values: shells }],
    flags: [],
    shared: [],
    examples: [{ line: 'keyway completion bash', says: 'In ~/.bashrc: source <(keyway completion bash)' }],
    load: async () => (await import('../handlers/completion.ts')).completion,
  },
  {
    words: ['help'],
    summary: 'Show help of a command',
    positionals: [{ name: 'COMMAND', description: 'Words of the command', many: true, complete: 'commands' }],
    flags: [],
    shared: [],
    examples: [
      { line: 'keyway help port', says: 'What can be done with ports' },
      { line: 'keyway help port create', says: 'Flags and examples' },
    ],
    load: async () => (await import('../handlers/help.ts')).help,
  },
];

/** Commands that main.ts runs itself. */
export const programCommands: Command[] = [
  {
    words: ['serve'],
    summary: 'Run the controller in the foreground, until a signal ends it',
    positionals: [],
    flags: [
      { name: 'config', type: 'value', placeholder: 'FILE', description: 'keyway.yaml', complete: 'files' },
      {
        name: 'data-dir',
        type: 'value',
        placeholder: 'DIR',
        description: 'Where the store and the first admin token lie; goes before the configuration',
        complete: 'files',
      },
    ],
    shared: [],
    examples: [{ line: 'keyway serve --config keyway.yaml', says: 'Until it is told to stop' }],
    load: ownProgram,
  },
  {
    words: ['restore'],
    summary: 'Make a data directory from a backup, for keyway serve to be started on',
    details: [
      'Offline: it talks to no controller, and never writes over a store that is there. The file is judged whole by its checksum, and a backup of a newer Keyway is refused; whatever is refused leaves nothing behind.',
      'Revisions go on from the backup, so that ETags and ids mean what they meant; the change log begins there. Tokens are those of the backup: what was revoked since is valid again.',
    ],
    positionals: [{ name: 'FILE', description: 'What keyway backup wrote', required: true, complete: 'files' }],
    flags: [
      {
        name: 'data-dir',
        type: 'value',
        required: true,
        placeholder: 'DIR',
        description: 'Where the store is to lie; DIR/store must not exist, or be empty',
        complete: 'files',
      },
    ],
    shared: [],
    examples: [
      {
        line: 'keyway restore keyway.backup --data-dir /var/lib/keyway',
        says: 'Then: keyway serve --data-dir /var/lib/keyway',
      },
    ],
    load: ownProgram,
  },
  {
    words: ['gateway-host'],
    summary: 'Run the services of a gateway host: DHCP, router advertisements, names, metadata',
    details: [
      'To be run on each hypervisor that is marked as a gateway, beside its Open vSwitch, as root: docs/gateway-host.md says how. It serves what the controller told it last, whether that is there or not.',
    ],
    positionals: [],
    flags: [
      {
        name: 'controller',
        type: 'value',
        many: true,
        required: true,
        placeholder: 'URL',
        description: 'Of the REST API; several are tried in turn',
      },
      {
        name: 'token-file',
        type: 'value',
        required: true,
        placeholder: 'FILE',
        description: 'A token of role gateway-host:HYPERVISOR',
        complete: 'files',
      },
      {
        name: 'ca-file',
        type: 'value',
        placeholder: 'FILE',
        description: "PEM of the authority behind the controller's certificate; the system's unless told",
        complete: 'files',
      },
      {
        name: 'hypervisor',
        type: 'value',
        placeholder: 'NAME',
        description: "Its name at the controller; Open vSwitch's own system-id unless told",
        complete: { names: 'hypervisor' },
      },
      {
        name: 'data-dir',
        type: 'value',
        placeholder: 'DIR',
        description: 'Where what is served is kept; /var/lib/keyway-gateway-host unless told',
        complete: 'files',
      },
      {
        name: 'database',
        type: 'value',
        placeholder: 'SOCKET',
        description: "Open vSwitch's; /run/openvswitch/db.sock unless told",
        complete: 'files',
      },
      {
        name: 'resolver',
        type: 'value',
        many: true,
        placeholder: 'ADDRESS[:PORT]',
        description: 'Whom other names are asked of; those of /etc/resolv.conf unless told',
      },
      {
        name: 'lease',
        type: 'value',
        placeholder: 'SECONDS',
        description: 'How long a lease holds, 120 to 2592000; 86400 unless told',
      },
      { name: 'insecure', type: 'switch', description: 'Take http:// to another machine, the token readable by all' },
      {
        name: 'log-level',
        type: 'value',
        placeholder: 'LEVEL',
        description: 'debug, info, warn or error; info unless told',
      },
    ],
    shared: [],
    examples: [
      {
        line: 'keyway gateway-host --controller https://keyway.example.net:8443 --token-file /etc/keyway/gateway-host.token',
        says: 'Until it is told to stop',
      },
    ],
    load: ownProgram,
  },
  {
    words: ['sandbox'],
    summary: 'Run a controller with switches, hypervisors and VMs around it, in namespaces of this machine',
    positionals: [],
    flags: [
      {
        name: 'once',
        type: 'switch',
        description: 'Probe what is allowed and what is refused, then leave; exits with 0 when all is as expected',
      },
      {
        name: 'port',
        type: 'value',
        placeholder: 'PORT',
        description: 'Port of the REST API (8080 unless told; 0 for any)',
      },
      { name: 'hypervisors', type: 'value', placeholder: 'N', description: 'How many, 1 to 4 (2 unless told)' },
    ],
    shared: [],
    examples: [{ line: 'keyway sandbox --once', says: 'The show, without staying up' }],
    load: ownProgram,
  },
];

/** They reach runCli only when main.ts does not see them as its own, a fault of the program. */
function ownProgram(): Promise<never> {
  return Promise.reject(
    new Error('serve, restore, gateway-host and sandbox are started by the program, not by the CLI'),
  );
}

export const otherGroups: Group[] = [
  { word: 'token', summary: 'Tokens: create, list, delete', section: 'Other' },
  { word: 'audit', summary: 'Who did what, and when', section: 'Other' },
  { word: 'profile', summary: 'Controllers, tokens and defaults kept under a name', section: 'Other' },
  { word: 'shell', summary: 'Type commands one after another', section: 'Other' },
  { word: 'completion', summary: 'Completion for bash, zsh and fish', section: 'Other' },
  { word: 'serve', summary: 'Run the controller', section: 'Other' },
  { word: 'gateway-host', summary: 'Run the services of a gateway host', section: 'Other' },
  { word: 'sandbox', summary: 'A controller with switches and VMs around it, to try things on', section: 'Other' },
  { word: 'help', summary: 'Help of a command', section: 'Other' },
];
