/** Two tenants with the same addresses on two hypervisors, ordered through the API as an orchestrator would. */
import type { TestContext } from 'vitest';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip } from '../support/lab.ts';

export type Cloud = AsyncDisposable & {
  lab: Lab;
  hv1: LabHypervisor;
  hv2: LabHypervisor;
  /** web1 and web3 on hv1, web2 and db1 on hv2; db1 is of another tier. All of acme. */
  acme: Record<'web1' | 'web2' | 'web3' | 'db1', LabVm>;
  /** The same names, MACs and addresses, on the other hypervisors. */
  umbrella: Record<'web1' | 'web2', LabVm>;
  apply(resources: { path: string; spec?: unknown; delete?: true }[]): Promise<void>;
};

const where = { web1: '10.0.1.11', web2: '10.0.1.12', web3: '10.0.1.13', db1: '10.0.2.11' } as const;

export const macOf = (name: keyof typeof where): string => `02:00:00:00:0${name === 'db1' ? 2 : 1}:1${name.at(-1)}`;
export const ipOf = (name: keyof typeof where): string => where[name];

function ordersOf(tenant: string, ports: (keyof typeof where)[]): { path: string; spec: unknown }[] {
  const network = `tenants/${tenant}/networks/shop`;
  return [
    { path: `tenants/${tenant}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    { path: `${network}/tiers/db`, spec: { cidr: '10.0.2.0/24' } },
    ...ports.map((p) => ({
      path: `${network}/ports/${p}`,
      spec: { tier: p === 'db1' ? 'db' : 'web', mac: macOf(p), ips: [ipOf(p)], ifaceId: `${tenant}-${p}` },
    })),
    {
      path: `${network}/rules/ping`,
      spec: { action: 'allow', priority: 100, from: { tier: 'web' }, to: { tier: 'web' }, protocol: 'icmp' },
    },
    {
      path: `${network}/rules/http`,
      spec: {
        action: 'allow',
        priority: 100,
        from: { tier: 'web' },
        to: { port: 'web2' },
        protocol: 'tcp',
        ports: ['80'],
      },
    },
  ];
}

export async function openCloud(context: Pick<TestContext, 'skip'>): Promise<Cloud> {
  const lab = await openLabOrSkip(context);
  try {
    await lab.startController();
    const hv1 = await lab.addHypervisor('hv1');
    const hv2 = await lab.addHypervisor('hv2');
    await Promise.all([lab.join(hv1), lab.join(hv2)]);
    const apply: Cloud['apply'] = async (resources) => {
      await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
    };
    await apply([...ordersOf('acme', ['web1', 'web2', 'web3', 'db1']), ...ordersOf('umbrella', ['web1', 'web2'])]);
    const vm = async (tenant: string, port: keyof typeof where, hypervisor: string): Promise<LabVm> => {
      const made = await lab.addVm({
        name: `${tenant}-${port}`,
        hypervisor,
        mac: macOf(port),
        address: `${ipOf(port)}/24`,
        ifaceId: `${tenant}-${port}`,
      });
      await made.plug();
      return made;
    };
    const acme = {
      web1: await vm('acme', 'web1', 'hv1'),
      web2: await vm('acme', 'web2', 'hv2'),
      web3: await vm('acme', 'web3', 'hv1'),
      db1: await vm('acme', 'db1', 'hv2'),
    };
    const umbrella = { web1: await vm('umbrella', 'web1', 'hv2'), web2: await vm('umbrella', 'web2', 'hv1') };
    for (const p of ['web1', 'web2', 'web3', 'db1']) await lab.portReady(`tenants/acme/networks/shop/ports/${p}`);
    for (const p of ['web1', 'web2']) await lab.portReady(`tenants/umbrella/networks/shop/ports/${p}`);
    return { lab, hv1, hv2, acme, umbrella, apply, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}
