/** What OVN runs on a hypervisor. */
import { join } from 'node:path';
import { type Daemon, startDaemon } from '../../src/sandbox/ephemeral.ts';
import type { Ovn } from './find.ts';

/** As test/support and the sandbox have it. */
export type OvnHost = {
  name: string;
  encapIp: string;
  /** Holds db.sock and br-int.mgmt. */
  directory: string;
  vsctl(...args: string[]): Promise<string>;
  /** Of the integration bridge that ovn-controller makes; the one that is there stays as it is. */
  datapathType?: string;
};

/** @param southbound where OVN's southbound database is */
export async function startOvnController(ovn: Ovn, southbound: string, host: OvnHost): Promise<Daemon> {
  const { name, directory } = host;
  const settings: Record<string, string> = {
    'ovn-remote': southbound,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': host.encapIp,
    // Probes of a loaded machine's peers are no part of what is measured.
    'ovn-remote-probe-interval': '180000',
    'ovn-openflow-probe-interval': '180',
  };
  if (host.datapathType !== undefined) settings['ovn-bridge-datapath-type'] = host.datapathType;
  const words = Object.entries(settings).map(([key, value]) => `external_ids:${key}="${value}"`);
  await host.vsctl('set', 'Open_vSwitch', '.', ...words);
  const env = { ...ovn.env, OVS_RUNDIR: directory, OVN_RUNDIR: directory, OVN_LOGDIR: directory };
  const database = `unix:${join(directory, 'db.sock')}`;
  const args = [database, '-vconsole:off', `--log-file=${join(directory, 'ovn-controller.log')}`];
  // With the console off, what still comes is why it could not start.
  const line = (text: string): void => console.error(`ovn-controller of ${name}: ${text}`);
  return startDaemon(ovn.programs['ovn-controller'], args, { env, cwd: directory, line });
}
