/** OVN with the benchmark's cloud, which northbound.ts describes. */
import { type Daemon, until } from '../../src/sandbox/ephemeral.ts';
import { openVswitch } from '../../test/support/open-vswitch.ts';
import { type Farm, startFarm } from '../support/farm.ts';
import { type CloudShape, encapIp, systemId } from '../support/shape.ts';
import { Tracer } from '../support/trace.ts';
import { type Central, startCentral } from './central.ts';
import type { Contender } from './contender.ts';
import { startOvnController } from './controller.ts';
import { findOvn, type Ovn } from './find.ts';
import { InstalledWatch } from './installed.ts';
import { networkOperations, portOperations, routerMac, ruleOperation } from './northbound.ts';

/** @throws Error where OVN cannot be had here */
export async function openOvn(shape: CloudShape, line: (text: string) => void): Promise<Contender> {
  const ovn = await findOvn(line);
  if ('unavailable' in ovn) throw new Error(`no OVN: ${ovn.unavailable}`);
  const vswitch = await openVswitch();
  if ('unavailable' in vswitch) throw new Error(`no Open vSwitch: ${vswitch.unavailable}`);
  const central = await startCentral(ovn, vswitch);
  let farm: Farm | undefined;
  const controllers: Daemon[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(controllers.map((daemon) => daemon.stop()));
    await farm?.[Symbol.asyncDispose]();
    await central[Symbol.asyncDispose]();
  };
  try {
    farm = await startFarm(shape.hypervisors);
    for (const [host, s] of farm.switches.entries()) {
      const { directory, vsctl } = s;
      const where = { name: systemId(host), encapIp: encapIp(host), directory, vsctl };
      controllers.push(await startOvnController(ovn, central.southbound, where));
    }
    await meshOfTunnels(farm);
    await central.sync();
    return await contender(shape, ovn, central, farm, controllers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Every hypervisor has a tunnel to each other one, before anything is ordered. */
async function meshOfTunnels(farm: Farm): Promise<void> {
  for (const s of farm.switches) {
    const others = farm.switches.length - 1;
    await until(
      'tunnels between all hypervisors',
      async () => {
        const text = await s.vsctl('--bare', '--columns=ofport', 'find', 'Interface', 'type=geneve');
        return text.split('\n').filter((ofport) => Number(ofport) > 0).length === others;
      },
      120_000,
      100,
    );
  }
}

async function contender(
  shape: CloudShape,
  ovn: Ovn,
  central: Central,
  farm: Farm,
  controllers: Daemon[],
  close: () => Promise<void>,
): Promise<Contender> {
  const installed = await Promise.all(farm.switches.map((s) => InstalledWatch.open(s.databasePath)));
  const { northd, northbound, southbound } = central.pids;
  return {
    name: `OVN ${ovn.version}`,
    farm,
    tracer: new Tracer({
      shape,
      switches: farm.switches,
      tunnel: 'geneve',
      carried,
      routerMac: (from) => Promise.resolve(routerMac[from.tier]),
    }),
    central: { northd: [northd], northbound: [northbound], southbound: [southbound] },
    agents: controllers.map((daemon) => daemon.process.pid!),
    async orderFrame() {
      for (let network = 0; network < shape.networks; network++)
        await central.transact(networkOperations(shape, network));
      await central.sync();
    },
    async orderPorts(places) {
      await central.transact(places.flatMap(portOperations));
      // Where it is, a port is bound by its own hypervisor; the others learn that from what it has told by then.
      await Promise.all(places.map((p) => installed[p.host]!.wait(p.ifaceId)));
      await central.sync();
    },
    async changeRule(network, tier, tcpPort) {
      await central.transact([ruleOperation(shape, network, tier, 0, tcpPort)]);
      await central.sync();
    },
    async [Symbol.asyncDispose]() {
      for (const watch of installed) watch.close();
      await close();
    },
  };
}

/** The datapath's key is the tunnel's; the ports' are its option: receiver's in the lower half, sender's in the upper. */
function carried(trace: string): string | undefined {
  const key = [...trace.matchAll(/set_field:(0x[0-9a-f]+)\/0xffffff->tun_id/g)].at(-1)?.[1];
  const receiver = [...trace.matchAll(/set_field:(0x[0-9a-f]+)->tun_metadata0/g)].at(-1)?.[1];
  const sender = [...trace.matchAll(/TUN_METADATA0\[16\.\.30\] is now (0x[0-9a-f]+)/g)].at(-1)?.[1];
  if (key === undefined || receiver === undefined || sender === undefined) return undefined;
  return `tun_id=${key},tun_metadata0=0x${((Number(sender) << 16) | Number(receiver)).toString(16)}`;
}
