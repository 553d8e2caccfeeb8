/** What gateway hosts are told: after any changes it comes to what somebody who asks anew is told. And what that costs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CompileState } from '../../src/compile/state.ts';
import type { ServicesMessage } from '../../src/drivers/gateway-services.ts';
import { ServicesConfig } from '../../src/engine/services-config.ts';
import { Served } from '../../src/gateway-host/served.ts';
import type { Intent } from '../../src/intent/intent.ts';
import type { Path } from '../../src/intent/model.ts';
import { Problem } from '../../src/problems.ts';
import { admin, open, put, remove } from '../intent/support.ts';

const here = { number: 1, name: 'gw1' };
const nets: Path[] = ['tenants/acme/networks/a', 'tenants/acme/networks/b', 'tenants/umbrella/networks/a'];

async function setting() {
  const { intent } = await open();
  const gateways = new Map<Path, number[]>();
  const state = {
    view: intent,
    gateways: (network: Path) => gateways.get(network) ?? [],
    placement: { get: () => undefined },
    hypervisors: new Map(),
    patch: () => undefined,
  } as unknown as CompileState;
  const errors: unknown[] = [];
  const config = new ServicesConfig(state, (error) => errors.push(error));
  intent.onCommit((commit) => config.committed(commit));
  await admin(intent, [
    put('provider-networks/internet', { physicalNetwork: 'ext' }),
    put('ip-pools/public', { providerNetwork: 'internet', cidr: '203.0.113.0/24', gateway: '203.0.113.1' }),
    put('offerings/bare', { services: ['routing', 'rules', 'static-nat'] }),
    put('tenants/acme'),
    put('tenants/umbrella'),
  ]);
  return { intent, gateways, config, errors };
}

/** Follows, and keeps what it is told. @param pace milliseconds until it takes more */
function follow(config: ServicesConfig, pace = 0) {
  const served = new Served();
  const messages: ServicesMessage[] = [];
  const following = config.follow(here, async (text) => {
    const message = JSON.parse(text) as ServicesMessage;
    messages.push(message);
    served.apply(message);
    if (pace > 0) await new Promise((resolve) => setTimeout(resolve, pace));
    return true;
  });
  return { served, messages, close: () => following.close() };
}

/** Until nothing more is told. */
async function quiet({ messages }: { messages: unknown[] }): Promise<void> {
  for (let before = -1; before !== messages.length; ) {
    before = messages.length;
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
}

function picture(served: Served) {
  return [...served.networks.values()]
    .map(({ told, ports }) => ({
      told,
      ports: [...ports.values()].map((port) => port.told).sort((a, b) => a.number - b.number),
    }))
    .sort((a, b) => a.told.number - b.told.number);
}

type Step = (intent: Intent, gateways: Map<Path, number[]>) => Promise<Path | undefined> | Path | undefined;

const network = fc.constantFrom(...nets);
const letter = fc.constantFrom('p', 'q', 'r');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.tuple(network, fc.subarray([1, 2])).map(
      ([path, numbers]): Step =>
        (_, gateways) => {
          gateways.set(path, numbers);
          return path;
        },
    ),
  },
  fc
    .tuple(network, fc.constantFrom('basic', 'bare'), fc.boolean())
    .map(([path, offering, dhcp]): Step => orders([put(path, { offering, cidr: '10.0.0.0/16', dhcp })])),
  fc
    .tuple(network, fc.constantFrom(1, 2))
    .map(([path, n]): Step => orders([put(`${path}/tiers/t${n}`, { cidr: `10.0.${n}.0/24` })])),
  {
    weight: 3,
    arbitrary: fc
      .tuple(network, letter, fc.constantFrom(1, 2), fc.option(letter))
      .map(
        ([path, name, n, hostname]): Step =>
          orders([put(`${path}/ports/${name}`, { tier: `t${n}`, ...(hostname !== null && { hostname }) })]),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(network, letter).map(([path, name]): Step => orders([remove(`${path}/ports/${name}`)])),
  },
  fc
    .tuple(network, letter)
    .map(
      ([path, name]): Step =>
        orders([
          put(`${path}/routes/${name}`, { destination: `192.168.${name.charCodeAt(0)}.0/24`, nextHop: '10.0.1.7' }),
        ]),
    ),
  fc.tuple(network, letter).map(([path, name]): Step => orders([put(`${path}/public-ips/${name}`, {})])),
  fc
    .tuple(network, letter)
    .map(
      ([path, name]): Step =>
        orders([put(`${path}/nat-rules/${name}`, { type: 'static', publicIp: name, port: name })]),
    ),
  fc.tuple(network, letter).map(([path, name]): Step => orders([remove(`${path}/nat-rules/${name}`)])),
  network.map(
    (path): Step =>
      async (intent) => {
        // With all that is in it, and its successor in the same commit, now and then.
        const doomed = ['nat-rules', 'public-ips', 'routes', 'ports', 'tiers'].flatMap((segment) => {
          const kind = {
            'nat-rules': 'nat-rule',
            'public-ips': 'public-ip',
            routes: 'route',
            ports: 'port',
            tiers: 'tier',
          }[segment] as 'port';
          return [...intent.children(kind, path)].map((r) => remove(r.path));
        });
        return orders([...doomed, remove(path)])(intent, new Map());
      },
  ),
);

function orders(operations: Parameters<typeof admin>[1]): Step {
  return async (intent) => {
    // Orders that make no sense by now are refused, which changes nothing.
    await admin(intent, operations).catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error;
    });
    return undefined;
  };
}

function furnished(path: Path) {
  return [
    put(path, { offering: 'basic', cidr: '10.0.0.0/16' }),
    ...[1, 2].map((n) => put(`${path}/tiers/t${n}`, { cidr: `10.0.${n}.0/24` })),
    ...['p', 'q', 'r'].flatMap((name) => [
      put(`${path}/ports/${name}`, { tier: 't1' }),
      put(`${path}/public-ips/${name}`, {}),
    ]),
    put(`${path}/nat-rules/p`, { type: 'static', publicIp: 'p', port: 'p' }),
  ];
}

test('a network that goes while it is being told is taken back', async () => {
  const { intent, gateways, config, errors } = await setting();
  const [, path] = nets as [Path, Path];
  await admin(intent, furnished(path));
  gateways.set(path, [1]);
  const served = new Served();
  const told = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const following = config.follow(here, async (text) => {
    const message = JSON.parse(text) as ServicesMessage;
    served.apply(message);
    if (message.type !== 'network') return true;
    told.resolve();
    await release.promise;
    return true;
  });
  await told.promise;
  const { number } = intent.getAs('network', path)!;
  gateways.set(path, []);
  config.compiled([`gateway:${path}`]);
  release.resolve();
  await expect.poll(() => served.networks.has(number)).toBe(false);
  expect(errors).toEqual([]);
  following.close();
});

test('whatever changes, in whatever order, and however slowly it is taken', async () => {
  const seen = new Set<string>();
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.boolean()), { minLength: 5, maxLength: 25 }),
      fc.constantFrom(0, 3),
      async (steps, pace) => {
        const { intent, gateways, config, errors } = await setting();
        await admin(intent, nets.flatMap(furnished));
        for (const path of nets) gateways.set(path, [1, 2]);
        const follower = follow(config, pace);
        for (const [one, pauses] of steps) {
          // Time for what is known so far to be told, or not.
          if (pauses) await new Promise((resolve) => setTimeout(resolve, 2));
          const moved = await one(intent, gateways);
          // As the engine says of what it has compiled.
          if (moved !== undefined) config.compiled([`services:${moved}`]);
          for (const path of nets) config.compiled([`gateway:${path}`]);
        }
        await quiet(follower);
        for (const { type } of follower.messages) seen.add(type);
        changes += follower.messages.slice(follower.messages.findIndex(({ type }) => type === 'end')).length;
        const anew = follow(config);
        await quiet(anew);
        expect(picture(follower.served)).toEqual(picture(anew.served));
        for (const path of nets) {
          const resource = intent.getAs('network', path);
          const told = resource && anew.served.networks.get(resource.number);
          expect(told !== undefined).toBe(resource !== undefined && (gateways.get(path) ?? []).includes(1));
          if (told !== undefined && resource!.spec.offering === 'basic')
            expect(told.ports.size).toBe(intent.count('port', path));
        }
        expect(errors).toEqual([]);
        follower.close();
        anew.close();
      },
    ),
    { numRuns: 80 },
  );
  // Cases in which nothing happens would prove nothing.
  expect([...seen].sort()).toEqual(['begin', 'end', 'network', 'ports', 'remove']);
  expect(changes).toBeGreaterThan(100);
}, 60_000);

test('a port that changes costs one message about it, in a network of many', async () => {
  const { intent, gateways, config } = await setting();
  const path = nets[0]!;
  await admin(intent, [
    put(path, { offering: 'basic', cidr: '10.0.0.0/16' }),
    put(`${path}/tiers/t`, { cidr: '10.0.0.0/20' }),
    ...Array.from({ length: 500 }, (_, i) => put(`${path}/ports/p${i}`, { tier: 't' })),
  ]);
  gateways.set(path, [1]);
  const follower = follow(config);
  await quiet(follower);
  expect(follower.served.size).toBe(500);
  expect(follower.messages.map(({ type }) => type)).toEqual(['begin', 'network', 'ports', 'ports', 'ports', 'end']);
  follower.messages.length = 0;
  await admin(intent, [put(`${path}/ports/p7`, { tier: 't', hostname: 'seven' })]);
  await quiet(follower);
  expect(follower.messages).toMatchObject([{ type: 'ports', set: [{ hostname: 'seven' }], remove: [] }]);
  follower.messages.length = 0;
  config.compiled([`services:${path}`, `gateway:${path}`, `port:${path}/ports/p7`]);
  await quiet(follower);
  expect(follower.messages).toEqual([]);
  follower.close();
});

test('who takes nothing any more is told nothing any more', async () => {
  const { intent, config, errors } = await setting();
  let asked = 0;
  config.follow(here, async () => {
    asked++;
    return false;
  });
  await new Promise((resolve) => setTimeout(resolve, 10));
  await admin(intent, [put(nets[0]!, { offering: 'basic', cidr: '10.0.0.0/16' })]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(asked).toBe(1);
  expect(errors).toEqual([]);
});
