/** An API on a store in memory, with a token of every role. */
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { type AppOptions, createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { loadConfig } from '../../src/config.ts';
import { Intent } from '../../src/intent/intent.ts';
import type { ProblemDocument } from '../../src/problems.ts';
import { type MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { careForTokens } from '../../src/token-care.ts';
import { MemoryStorage, type UsageStorage } from '../../src/usage/storage.ts';
import { Fleet } from './fleet.ts';
import { usageOver } from './usage.ts';

export type Who = 'admin' | 'operator' | 'orchestrator' | 'acme' | 'globex';

export type Harness = {
  app: FastifyInstance;
  store: Store;
  intent: Intent;
  tokens: Tokens;
  audit: Audit;
  fleet: Fleet;
  usageStorage: UsageStorage;
  /** Lines of the log, as objects. */
  log: Record<string, unknown>[];
  secrets: Record<Who, string>;
  /** Asks as somebody; `body` goes as JSON. */
  ask(
    who: Who | undefined,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
  close(): Promise<void>;
};

export type Reply = {
  status: number;
  headers: LightMyRequestResponse['headers'];
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged member by member
  body: any;
  text: string;
};

export type HarnessOptions = AppOptions & { disk?: MemoryDisk; changes?: number; secrets?: Record<Who, string> };

export async function harness({ disk, changes, secrets, ...options }: HarnessOptions = {}): Promise<Harness> {
  const store = openMemoryStore({ ...(disk && { disk }), ...(changes !== undefined && { changes }) });
  const tokens = await Tokens.load(store);
  const audit = await Audit.load(store);
  const intent = await Intent.open(store);
  const fleet = new Fleet(intent);
  const usageStorage = new MemoryStorage();
  const usage = await usageOver(intent, usageStorage);
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => log.push(JSON.parse(line)) });
  const context = {
    intent,
    store,
    tokens,
    audit,
    status: fleet,
    fabric: fleet,
    upkeep: fleet,
    trace: fleet,
    usage: usage.service,
    // Nobody is a gateway here; test/gateway-host asks a whole controller.
    gatewayServices: {
      follow(hypervisor: { number: number; name: string }, send: (text: string) => Promise<boolean>) {
        void send(JSON.stringify({ type: 'begin', hypervisor: hypervisor.number, name: hypervisor.name }));
        void send(JSON.stringify({ type: 'end' }));
        return { close() {} };
      },
    },
    config: loadConfig(undefined),
    log: logger,
  };
  const endCare = await careForTokens(tokens, intent, logger);
  const made = secrets ?? {
    admin: (await tokens.create({ role: 'admin' })).secret,
    operator: (await tokens.create({ role: 'operator' })).secret,
    orchestrator: (await tokens.create({ role: 'orchestrator' })).secret,
    acme: (await tokens.create({ role: 'tenant', tenant: 'acme' })).secret,
    globex: (await tokens.create({ role: 'tenant', tenant: 'globex' })).secret,
  };
  const app = await createApp(context, options);
  return {
    ...context,
    app,
    fleet,
    usageStorage,
    log,
    secrets: made,
    async ask(who, method, path, body, headers = {}) {
      const answer = await app.inject({
        method: method as InjectOptions['method'],
        url: path.startsWith('/') ? path : `/v1/${path}`,
        headers: { ...(who && { authorization: `Bearer ${made[who]}` }), ...headers },
        ...(body !== undefined && { payload: body as object }),
      } as InjectOptions);
      const text = answer.body;
      const isJson = text !== '' && /\bjson\b/.test(String(answer.headers['content-type']));
      return { status: answer.statusCode, headers: answer.headers, body: isJson ? JSON.parse(text) : text, text };
    },
    async close() {
      endCare();
      await app.close();
      await usage.service.stop();
      await store.close();
    },
  };
}

/** Tenant, network, two tiers and two ports of the tenant. */
export function shop(tenant: string): { path: string; spec: object; labels?: Record<string, string> }[] {
  const network = `tenants/${tenant}/networks/shop`;
  return [
    { path: `tenants/${tenant}`, spec: { description: 'Sells things' } },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' }, labels: { env: 'test' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    { path: `${network}/tiers/db`, spec: { cidr: '10.0.2.0/24', gateway: '10.0.2.254' } },
    { path: `${network}/ports/web1`, spec: { tier: 'web', ips: ['10.0.1.10'], mac: '02:00:00:00:00:01' } },
    { path: `${network}/ports/db1`, spec: { tier: 'db', groups: ['databases'] } },
    { path: `${network}/groups/databases`, spec: {} },
    {
      path: `${network}/rules/web-to-db`,
      spec: {
        action: 'allow',
        priority: 100,
        from: { tier: 'web' },
        to: { group: 'databases' },
        protocol: 'tcp',
        ports: ['5432'],
      },
    },
  ];
}

/** The same with a resource of every other kind, in both IP versions. */
export function everyKind(tenant: string): ReturnType<typeof shop> {
  const network = `tenants/${tenant}/networks/shop`;
  const end = { from: { cidrs: ['fd07::/64', 'fd08::/64'] }, to: { any: true } };
  const replaced = [
    {
      path: network,
      spec: {
        offering: 'basic',
        cidr: '10.0.0.0/16',
        ipv6Cidr: 'fd00::/48',
        mtu: 1400,
        logDenied: true,
        domain: 'shop.example',
        dnsServers: ['9.9.9.9'],
        dhcp: true,
      },
    },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' } },
    {
      path: `${network}/ports/web1`,
      spec: {
        tier: 'web',
        mac: '02:00:00:00:00:01',
        ips: ['10.0.1.10', 'fd00:0:0:1::10'],
        allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }, { ip: 'fd07::/64' }],
        qos: { fromVm: { rateKbps: 1000, burstKb: 100 }, dscp: 46 },
        portSecurity: false,
        hostname: 'www',
        userData: 'IyEvYmluL3NoCg==',
        metadata: { role: 'front' },
      },
    },
  ];
  return [
    ...shop(tenant).filter(({ path }) => !replaced.some((other) => other.path === path)),
    ...replaced,
    { path: `tenants/${tenant}/networks/office`, spec: { offering: 'basic', cidr: '10.1.0.0/16' } },
    { path: `tenants/${tenant}/peerings/shop-office`, spec: { networks: ['shop', 'office'] } },
    { path: `${network}/routes/branch`, spec: { destination: 'fd07::/64', nextHop: 'fd00:0:0:1::10' } },
    {
      path: `${network}/steering/inspected`,
      spec: { priority: 1, ...end, protocol: 'icmpv6', icmp: { type: 128 }, via: ['web1'], onFailure: 'open' },
    },
    { path: `${network}/tiers/cache`, spec: { prefixLength: 26 } },
    { path: `${network}/tiers/campus`, spec: { cidr: '172.16.5.0/24', providerNetwork: 'campus' } },
    { path: `${network}/tiers/appliances`, spec: { transit: true, prefixLength: 28 } },
    { path: `${network}/reservations/printers`, spec: { tier: 'web', range: '10.0.1.150-10.0.1.199' } },
    { path: `${network}/public-ips/front`, spec: {} },
    { path: `${network}/public-ips/mail`, spec: { pool: 'public', address: '203.0.113.25' } },
    { path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'front', tiers: ['db', 'web'] } },
    {
      path: `${network}/nat-rules/https`,
      spec: { type: 'port-forward', publicIp: 'front', port: 'web1', protocol: 'tcp', publicPorts: '443' },
    },
    { path: `${network}/nat-rules/mail`, spec: { type: 'static', publicIp: 'mail', port: 'db1' } },
    { path: `${network}/vlan-attachments/storage`, spec: { trunk: 'racks', tier: 'db' } },
    {
      path: `${network}/ports/san`,
      spec: { tier: 'db', attachment: 'storage', mac: '02:00:00:00:00:5a', ips: ['10.0.2.90'] },
    },
    { path: 'provider-networks/internet', spec: { physicalNetwork: 'physnet1', vlan: 50 } },
    { path: 'provider-networks/campus', spec: { physicalNetwork: 'campus', mtu: 9000, tenants: [tenant] } },
    {
      path: 'ip-pools/public',
      spec: {
        providerNetwork: 'internet',
        cidr: '203.0.113.0/24',
        gateway: '203.0.113.1',
        gatewayMac: '02:00:00:00:00:FE',
        ranges: ['203.0.113.10-203.0.113.250'],
      },
    },
    { path: 'trunks/racks', spec: { physicalNetwork: 'physnet2', vlans: ['100-199', '300'] } },
    {
      path: 'policies/no-telnet',
      spec: { action: 'deny', priority: 1, tenants: [tenant], ...end, protocol: 'tcp', ports: ['23'], log: true },
    },
  ];
}

/** Fails unless the answer is a problem of this code, in the form every problem has. */
export function problemOf(reply: Reply, code: string): ProblemDocument {
  const problem = reply.body as ProblemDocument & { instance: string };
  if (problem?.code !== code) throw new Error(`expected ${code}, got ${reply.status} ${reply.text}`);
  if (reply.headers['content-type'] !== 'application/problem+json') throw new Error('not problem+json');
  if (problem.status !== reply.status) throw new Error(`status ${problem.status} in a ${reply.status} answer`);
  if (!/^urn:uuid:[0-9a-f-]{36}$/.test(problem.instance)) throw new Error(`instance ${problem.instance}`);
  return problem;
}
