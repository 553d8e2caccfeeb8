/** Commands for those who look after a controller. `restore` is the program's own: see other.ts. */
import type { Command, Group } from '../command.ts';

export const upkeepCommands: Command[] = [
  {
    words: ['doctor'],
    summary: 'Look at everything there is: what is wrong, and what to do; exits with 1 when something fails',
    details: [
      'Connections, approval, tunnel addresses, versions and MTUs of hypervisors, tunnels and their BFD, drift (every switch is read back, one at a time), refused flows, ports claimed twice, the store and its disk, the clock and the threads of the controller. What is well is one line of each kind.',
      'Hypervisors tell no clock, so only the controller’s own is judged. The MTU of an underlay is known where Open vSwitch has its interface.',
    ],
    positionals: [],
    flags: [{ name: 'quick', type: 'switch', description: 'Leave out what reads every switch back' }],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway doctor', says: 'Worst first' },
      { line: 'keyway doctor --quick -o json', says: 'For a probe that runs often' },
    ],
    load: async () => (await import('../handlers/upkeep.ts')).doctor,
  },
  {
    words: ['recompute'],
    summary: 'Compile everything anew, tell what differs from what switches were sent, and send that again',
    details: [
      'Beside the running system, in slices of milliseconds. Nothing should ever differ: what does is a fault of Keyway, to be reported. Exits with 1 when something differs and was not sent again, or kept changing while it was looked at.',
    ],
    positionals: [],
    flags: [{ name: 'dry-run', type: 'switch', description: 'Tell what differs, and send nothing' }],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway recompute --dry-run', says: 'Is everything as it should be?' },
      { line: 'keyway recompute', says: 'And if not, send it again' },
    ],
    load: async () => (await import('../handlers/upkeep.ts')).recompute,
  },
  {
    words: ['backup'],
    summary: 'Write everything the controller holds to a file, at one revision, while it runs',
    details: [
      'The file holds the hashes of tokens, and everything tenants have ordered: it is made with mode 0600, keep it so. It appears under its name once it is whole and its checksum is right.',
      'keyway restore makes a data directory of it.',
    ],
    positionals: [
      { name: 'FILE', description: 'Where to; - writes to standard output', required: true, complete: 'files' },
    ],
    flags: [],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway backup keyway.backup', says: 'A file that stands there is replaced once the new one is whole' },
      { line: 'keyway backup -', says: 'To standard output, to be packed or sent elsewhere' },
    ],
    load: async () => (await import('../handlers/backup.ts')).backup,
  },
  {
    words: ['compact'],
    summary: 'Cut the change log, and give back the room on the disk of what was deleted',
    details: [
      'The controller goes on meanwhile. Event streams that are further behind than the log reaches have to list again.',
    ],
    positionals: [],
    flags: [
      {
        name: 'changes',
        type: 'value',
        placeholder: 'N',
        description: 'Changes to keep, 1000 at least; what the configuration keeps unless told',
      },
    ],
    shared: ['json', 'timeout', 'connection'],
    examples: [
      { line: 'keyway compact', says: 'Tidy the files, and leave the log as it is' },
      { line: 'keyway compact --changes 10000', says: 'And cut the log' },
    ],
    load: async () => (await import('../handlers/upkeep.ts')).compact,
  },
];

export const upkeepGroups: Group[] = [
  { word: 'doctor', summary: 'What is wrong, and what to do', section: 'Upkeep' },
  { word: 'recompute', summary: 'Compile everything anew, and send what differs', section: 'Upkeep' },
  { word: 'backup', summary: 'Everything the controller holds, to a file', section: 'Upkeep' },
  { word: 'restore', summary: 'Make a data directory from a backup', section: 'Upkeep' },
  { word: 'compact', summary: 'Cut the change log, give back room on the disk', section: 'Upkeep' },
];
