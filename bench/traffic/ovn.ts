/** OVN's side of the traffic benchmarks: its central part and its ovn-controllers beside the lab, its switches in it. */
import { join } from 'node:path';
import type { Daemon } from '../../src/sandbox/ephemeral.ts';
import type { Lab } from '../../src/sandbox/lab.ts';
import type { OpenVswitch } from '../../src/sandbox/open-vswitch/find.ts';
import type { CloudShape } from '../support/shape.ts';
import { startCentral } from '../vs-ovn/central.ts';
import { startOvnController } from '../vs-ovn/controller.ts';
import { findOvn } from '../vs-ovn/find.ts';
import { InstalledWatch } from '../vs-ovn/installed.ts';
import { judgeBothEnds, networkOperations, portOperations } from '../vs-ovn/northbound.ts';
import { type Arena, addHypervisors, addVms, trafficPlaces } from './arena.ts';

export type OvnArena = Arena &
  AsyncDisposable & {
    /** What is sent is now judged by the same rules; before, everything may be sent. */
    judgeBothEnds(): Promise<void>;
  };

/** @param more matches of packets to allow beside the shape's rules. @throws Error where OVN cannot be had here */
export async function openOvnArena(
  lab: Lab,
  openVswitch: OpenVswitch,
  shape: CloudShape,
  more: readonly string[],
  line: (text: string) => void,
): Promise<OvnArena> {
  const ovn = await findOvn(line);
  if ('unavailable' in ovn) throw new Error(`no OVN: ${ovn.unavailable}`);
  const central = await startCentral(ovn, openVswitch);
  const controllers: Daemon[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(controllers.map((daemon) => daemon.stop()));
    await central[Symbol.asyncDispose]();
  };
  try {
    const hypervisors = await addHypervisors(lab, 'ovn');
    for (const host of hypervisors) {
      const where = ['get', 'Open_vSwitch', '.', 'external_ids:keyway-datapath-type'];
      const datapathType = (await host.vsctl(...where)).trim().replaceAll('"', '');
      controllers.push(await startOvnController(ovn, central.southbound, { ...host, datapathType }));
    }
    await central.sync();
    const places = trafficPlaces(shape);
    await central.transact(networkOperations(shape, 0, more));
    await central.transact(places.flatMap(portOperations));
    const arena = await addVms(lab, `OVN ${ovn.version}`, hypervisors, shape);
    for (const [i, { directory }] of hypervisors.entries()) {
      const watch = await InstalledWatch.open(join(directory, 'db.sock'));
      await Promise.all(places.filter(({ host }) => host === i).map(({ ifaceId }) => watch.wait(ifaceId)));
      watch.close();
    }
    await central.sync();
    return {
      ...arena,
      async judgeBothEnds() {
        await central.transact(judgeBothEnds(shape, 0, more));
        await central.sync();
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
