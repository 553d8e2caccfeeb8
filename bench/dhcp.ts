/**
 * Leases, from discover to acknowledgement, with real packets: VMs on two hypervisors, whose gateways are two others, and
 * the program that serves 1,000 ports of two tenants with the same addresses there. First one client at a time, then all of
 * them at once, then both once more with the controller dead.
 *
 * node bench/dhcp.ts [leases=1000] [ports=1000] [clients=8]
 */
import { fileURLToPath } from 'node:url';
import { namespacesForbidden } from '../src/sandbox/enclosure.ts';
import { openLab } from '../src/sandbox/lab.ts';
import { startGatewayHost } from '../src/sandbox/lab-gateway-host.ts';
import type { LabVm } from '../src/sandbox/lab-vm.ts';
import { findOpenVswitch } from '../src/sandbox/open-vswitch/find.ts';
import { machine, milliseconds, options, quantile } from './support/figures.ts';

const [leases = 1_000, ports = 1_000, clients = 8] = options([], 1_000, 1_000, 8).numbers;
/** What is promised, milliseconds. */
const limit = 50;

const line = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);
const openVswitch = await findOpenVswitch({ line });
if ('unavailable' in openVswitch) throw new Error(`no Open vSwitch: ${openVswitch.unavailable}`);
const forbidden = await namespacesForbidden();
if (forbidden !== undefined) throw new Error(`no namespaces: ${forbidden}`);
console.log(`${machine()}, Open vSwitch ${openVswitch.version}`);

await using lab = await openLab(openVswitch);
await lab.startController();
const [hv1, hv2, gw1, gw2] = await Promise.all(['hv1', 'hv2', 'gw1', 'gw2'].map((name) => lab.addHypervisor(name)));
await Promise.all([
  lab.join(hv1!),
  lab.join(hv2!),
  lab.join(gw1!, { gateway: true }),
  lab.join(gw2!, { gateway: true }),
]);

const tenants = ['acme', 'umbrella'];
const each = Math.ceil(ports / tenants.length);
const addressOf = (i: number): string => `10.0.${i >> 8}.${i & 255}`;
const macOf = (i: number): string =>
  `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
const networkOf = (tenant: string): string => `tenants/${tenant}/networks/shop`;
for (const tenant of tenants) {
  await lab.admin('POST', '/v1/apply', {
    resources: [
      { path: `tenants/${tenant}`, spec: {} },
      { path: networkOf(tenant), spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      { path: `${networkOf(tenant)}/tiers/web`, spec: { cidr: '10.0.0.0/18', gateway: '10.0.0.1' } },
      ...Array.from({ length: each }, (_, i) => ({
        path: `${networkOf(tenant)}/ports/p${i + 10}`,
        spec: { tier: 'web', mac: macOf(i + 10), ips: [addressOf(i + 10)], ifaceId: `${tenant}-${i + 10}` },
      })),
    ],
  });
}
const vms: LabVm[] = [];
for (let i = 0; i < clients; i++) {
  const tenant = tenants[i % tenants.length]!;
  const number = 10 + Math.floor(i / tenants.length);
  const vm = await lab.addVm({
    ...{ name: `${tenant}-${number}`, hypervisor: i % 4 < 2 ? 'hv1' : 'hv2', mac: macOf(number) },
    ...{ address: `${addressOf(number)}/18`, gateway: '10.0.0.1', ifaceId: `${tenant}-${number}` },
  });
  await vm.plug();
  await lab.portReady(`${networkOf(tenant)}/ports/p${number}`);
  vms.push(vm);
}
await Promise.all([startGatewayHost(lab, gw1!), startGatewayHost(lab, gw2!)]);
line(`${each * tenants.length} ports, ${vms.length} of them VMs that ask`);

const program = fileURLToPath(new URL('./dhcp/client.ts', import.meta.url));

async function take(vm: LabVm, count: number): Promise<{ taken: number[]; lost: number }> {
  const { status, stdout, stderr } = await vm.exec(process.execPath, [program, vm.mac, String(count)], {
    timeout: 300_000,
  });
  if (status !== 0) throw new Error(`${vm.name}: ${stderr}`);
  return JSON.parse(stdout) as { taken: number[]; lost: number };
}

function tell(what: string, results: { taken: number[]; lost: number }[]): void {
  const taken = results.flatMap((result) => result.taken);
  const lost = results.reduce((sum, result) => sum + result.lost, 0);
  const p95 = quantile(taken, 0.95);
  console.log(
    `${what}: ${taken.length} leases, discover to acknowledgement ${milliseconds(taken)}, ${lost} asked again`,
  );
  console.log(`  p95 is ${(p95 / limit).toFixed(2)} of the limit of ${limit} ms`);
}

async function measure(when: string): Promise<void> {
  const share = Math.ceil(leases / vms.length);
  const alone = [];
  for (const vm of vms) alone.push(await take(vm, share));
  tell(`one client at a time${when}`, alone);
  tell(`${vms.length} clients at once${when}`, await Promise.all(vms.map((vm) => take(vm, share))));
}

// The tunnels and the program are warm, as they are in a cloud that runs.
for (const vm of vms) await take(vm, 5);
await measure('');
await lab.killController();
await measure(', no controller');
console.log(`load at the end: ${machine()}`);
