/**
 * The cloud the figures are taken on: hypervisors with Open vSwitch on the dummy datapath, networks of two tiers whose
 * ports are spread over the hypervisors, rules per tier, and every VIF plugged before its port is ordered.
 */

import { readFileSync } from 'node:fs';
import { type RunningController, startController } from '../../src/controller.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitch, startDummySwitch } from '../../test/support/open-vswitch.ts';

export type CloudShape = {
  hypervisors: number;
  networks: number;
  /** Per tier; a network has two tiers. */
  ports: number;
  /** Per tier. */
  rules: number;
  /** Hypervisors each network is spread over. */
  spread: number;
};

export type Place = {
  tenant: string;
  network: string;
  tier: 'web' | 'db';
  index: number;
  host: number;
  ifaceId: string;
  path: string;
};

export type BenchCloud = AsyncDisposable & {
  controller: RunningController;
  switches: DummySwitch[];
  /** Every port of the shape, and `spare` more per network that are plugged but not ordered. */
  places: Place[];
  spares: Place[];
  request(method: string, path: string, body?: unknown): Promise<unknown>;
};

export const portSpec = (p: Place): Record<string, unknown> => ({ tier: p.tier, ifaceId: p.ifaceId });

export async function openBenchCloud(shape: CloudShape, spare: number): Promise<BenchCloud> {
  const found = await openVswitch();
  if ('unavailable' in found) throw new Error(`no Open vSwitch: ${found.unavailable}`);
  const files = ephemeralDirectory('keyway-bench-');
  const controller = await startController({
    dataDir: files.path,
    apiListen: [{ host: '127.0.0.1', port: 0 }],
    ovsdbListen: ['ptcp:0:127.0.0.1'],
    openflowListen: { host: '127.0.0.1', port: 0 },
    trustedNetworks: [],
    tunnelLocalIp: false,
    logLevel: 'error',
  });
  const token = readFileSync(controller.adminTokenFile, 'utf8').trim();
  const url = controller.apiUrls[0]!;
  const request: BenchCloud['request'] = async (method, path, body) => {
    const answer = await fetch(`${url}/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const switches: DummySwitch[] = [];
  for (let i = 0; i < shape.hypervisors; i++) {
    switches.push(
      await startDummySwitch({ systemId: `hv${i}`, manager: controller.managers[0]!, encapIp: `192.0.2.${i + 1}` }),
    );
    await request('PUT', `hypervisors/hv${i}`, { admission: 'approved' });
  }
  for (let i = 0; i < shape.hypervisors; i++)
    await switches[i]!.vsctl('wait-until', 'Bridge', 'br-int', 'datapath_id!=[]');
  const places: Place[] = [];
  const spares: Place[] = [];
  for (let n = 0; n < shape.networks; n++) {
    const count = 2 * shape.ports + spare;
    for (let i = 0; i < count; i++) {
      const tier = i % 2 === 0 ? 'web' : 'db';
      const host = (n + (i % shape.spread)) % shape.hypervisors;
      const path = `tenants/t${n}/networks/n/ports/p${i}`;
      (i < 2 * shape.ports ? places : spares).push({
        tenant: `t${n}`,
        network: 'n',
        tier,
        index: i,
        host,
        ifaceId: `t${n}-p${i}`,
        path,
      });
    }
  }
  // Many ports in one transaction: one each costs the switch more the more there are.
  for (const [host, s] of switches.entries()) {
    const mine = [...places, ...spares].filter((p) => p.host === host);
    const batch = 200;
    for (let i = 0; i < mine.length; i += batch) {
      const args = mine
        .slice(i, i + batch)
        .flatMap((p, k) => [
          ...(k === 0 ? [] : ['--']),
          'add-port',
          'br-int',
          p.ifaceId,
          '--',
          'set',
          'Interface',
          p.ifaceId,
          'type=dummy',
          `external_ids:iface-id=${p.ifaceId}`,
        ]);
      await s.vsctl(...args);
    }
  }
  return {
    controller,
    switches,
    places,
    spares,
    request,
    async [Symbol.asyncDispose]() {
      await controller.stop();
      await Promise.all(switches.map((s) => s[Symbol.asyncDispose]()));
      await files[Symbol.asyncDispose]();
    },
  };
}

/** Tenants, networks, tiers and rules of the shape, without ports. */
export function frame(shape: CloudShape): { path: string; spec: Record<string, unknown> }[] {
  const resources: { path: string; spec: Record<string, unknown> }[] = [];
  for (let n = 0; n < shape.networks; n++) {
    const network = `tenants/t${n}/networks/n`;
    resources.push(
      { path: `tenants/t${n}`, spec: {} },
      { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    );
    for (const [i, tier] of ['web', 'db'].entries()) {
      resources.push({ path: `${network}/tiers/${tier}`, spec: { cidr: `10.0.${i + 1}.0/24` } });
      for (let r = 0; r < shape.rules; r++) {
        const spec = {
          action: 'allow',
          priority: 100 + r,
          from: { tier },
          to: { tier },
          protocol: 'tcp',
          ports: [String(1000 + r)],
        };
        resources.push({ path: `${network}/rules/${tier}${r}`, spec });
      }
    }
  }
  return resources;
}
