/**
 * The same way out without translation: the same switches, tunnels and tables, but what SourceNat of the gateway in charge
 * would hand to connection tracking leaves as it is, and comes back the same way.
 */

import { tables } from '../../src/pipeline/tables.ts';
import type { LabHypervisor } from '../../src/sandbox/lab.ts';
import { outside } from '../../src/sandbox/outside.ts';
import type { OutsideArena } from './arena.ts';

/** Above every priority of the pipeline. */
const above = 65_500;

/** A MAC of nobody else. */
const mac = '02:4b:57:02:00:01';

export type WithoutNat = { begin(): Promise<void>; end(): Promise<void> };

/** The controller has to be told to report drift only. */
export async function prepareWithoutNat(arena: OutsideArena, gateway: LabHypervisor): Promise<WithoutNat> {
  const { router, vms, sourceAddress } = arena;
  const { ip } = vms.inner;
  const find = ['--bare', '--columns=ofport', 'find', 'Interface', 'type=patch', 'ofport>0'];
  const onIntegration = (await gateway.vsctl('list-ports', 'br-int')).split('\n');
  const names = (await gateway.vsctl(...find.with(1, '--columns=name')))
    .split('\n')
    .filter((n) => n !== '' && onIntegration.includes(n));
  if (names.length !== 1) throw new Error(`${gateway.name} has patches ${names.join(', ')}`);
  const patch = (await gateway.vsctl('get', 'Interface', names[0]!, 'ofport')).trim();
  // What the pipeline itself knows of who the address belongs to.
  const dump = await gateway.ofctl('dump-flows', `table=${tables.ProviderIngress.id}`, '--no-names', '--no-stats');
  const taking = dump
    .split('\n')
    .find((line) => line.includes(`nw_dst=${sourceAddress} `) || line.includes(`nw_dst=${sourceAddress},`));
  const belongs = [...(taking?.matchAll(/set_field:[^,]+->(?:metadata|reg4)\b/g) ?? [])].map(([text]) => text);
  if (belongs.length !== 2) throw new Error(`whose ${sourceAddress} is cannot be told from ${taking}`);
  const out = `table=${tables.SourceNat.id},priority=${above},ip,nw_src=${ip}`;
  const back = `table=${tables.Classifier.id},priority=${above},ip,in_port=${patch},nw_dst=${ip}`;
  const next = `set_field:${mac}->eth_src,set_field:${outside.routerMac}->eth_dst,output:${patch}`;
  await router.exec('ip', ['route', 'replace', `${ip}/32`, 'dev', 'eth0']);
  await router.exec('ip', ['neigh', 'replace', ip, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent']);
  return {
    async begin() {
      await gateway.ofctl('add-flow', `${out},actions=${next}`);
      await gateway.ofctl('add-flow', `${back},actions=${belongs.join(',')},goto_table:${tables.FromOutside.id}`);
    },
    async end() {
      for (const match of [out, back]) await gateway.ofctl('del-flows', match, '--strict');
    },
  };
}
