/** Commands for VMs that were there before Keyway: what hypervisors show, and how it becomes ports. */
import type { Command, Flag } from '../command.ts';

const perInterface = (name: string, value: string, description: string): Flag => ({
  name,
  type: 'value',
  many: true,
  placeholder: `INTERFACE=${value}`,
  description: `${description} (repeatable; the interface by its name or its iface-id)`,
});

export const interfaceCommands: Command[] = [
  {
    words: ['hypervisor', 'interfaces'],
    summary: 'VM interfaces a hypervisor shows that are no ports yet',
    positionals: [
      { name: 'HYPERVISOR', description: 'Name of the hypervisor', required: true, complete: { path: 'hypervisor' } },
    ],
    flags: [],
    shared: ['output', 'timeout', 'connection'],
    examples: [{ line: 'keyway hypervisor interfaces hv1', says: 'What keyway port import would take over there' }],
    load: async () => (await import('../handlers/interfaces.ts')).list,
  },
  {
    words: ['port', 'import'],
    summary: 'Make ports of the VM interfaces that a hypervisor shows, in one transaction',
    details: [
      'Each interface keeps its iface-id and its MAC (external_ids:attached-mac), and is bound at once. Its addresses are those given by --ip, else chosen in the tier: what the VM has configured by itself must be given.',
      'Ports are called HYPERVISOR-INTERFACE unless --name says otherwise.',
    ],
    positionals: [
      {
        name: 'TENANT/NETWORK',
        description: 'Where the ports are to be',
        required: true,
        complete: { path: 'network' },
      },
    ],
    flags: [
      {
        name: 'hypervisor',
        type: 'value',
        required: true,
        placeholder: 'NAME',
        description: 'Hypervisor that shows them',
        complete: { names: 'hypervisor' },
      },
      {
        name: 'tier',
        type: 'value',
        required: true,
        placeholder: 'NAME',
        description: 'Tier they are to be in',
        complete: { names: 'tier' },
      },
      {
        name: 'interface',
        type: 'value',
        many: true,
        placeholder: 'INTERFACE',
        description: 'Only this one, by its name or its iface-id (repeatable); all that are no ports yet when left out',
      },
      perInterface('ip', 'IP[,IP…]', 'Addresses it has'),
      perInterface('mac', 'MAC', 'Its MAC, where the hypervisor does not say it'),
      perInterface('name', 'PORT', 'What its port is to be called'),
    ],
    shared: ['wait', 'dryRun', 'json', 'timeout', 'connection'],
    examples: [
      {
        line: 'keyway port import acme/shop --hypervisor hv1 --tier web --dry-run',
        says: 'What would become ports, and what flows that takes',
      },
      {
        line: 'keyway port import acme/shop --hypervisor hv1 --tier web --interface tap0 --ip tap0=10.0.1.30 --name tap0=old-web',
        says: 'One VM, with the address it has',
      },
    ],
    load: async () => (await import('../handlers/interfaces.ts')).importPorts,
  },
];
