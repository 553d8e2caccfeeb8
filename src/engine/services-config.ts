/**
 * What each gateway host is to serve: the networks it is a gateway of, and their ports. Whoever follows is told the whole,
 * then what changed: a network's own settings when they differ, and ports one by one. What a slow one has not been told yet
 * gathers as names of what is to be told, never as messages.
 */
import { isAtGateways, patchKeyOf } from '../compile/public-address.ts';
import { serving } from '../compile/serving.ts';
import type { CompileState, Subject } from '../compile/state.ts';
import {
  type GatewayServices,
  portsAtOnce,
  type ServedNetwork,
  type ServedPort,
  type ServicesMessage,
} from '../drivers/gateway-services.ts';
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { formatMac, parseIpv4, publicMac } from '../intent/addresses.ts';
import type { Commit, Path, Resource, ResourceChange } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';

export class ServicesConfig implements GatewayServices {
  readonly #state: CompileState;
  readonly #onError: (error: unknown) => void;
  readonly #followers = new Set<Follower>();

  constructor(state: CompileState, onError: (error: unknown) => void) {
    this.#state = state;
    this.#onError = onError;
  }

  follow(hypervisor: { number: HypervisorNumber; name: string }, send: (text: string) => Promise<boolean>) {
    const follower = new Follower(this.#state, hypervisor, send);
    this.#followers.add(follower);
    follower
      .run()
      .catch(this.#onError)
      .finally(() => this.#followers.delete(follower));
    return { close: () => follower.close() };
  }

  /** Whether somebody follows what that hypervisor is to serve. */
  follows(hypervisor: HypervisorNumber): boolean {
    return this.#followers.values().some((follower) => follower.hypervisor === hypervisor);
  }

  committed({ changes }: Commit): void {
    if (this.#followers.size > 0) for (const change of changes) this.#changed(change);
  }

  /** Subjects that were compiled: the gateways of a network, or where its addresses are at home, may be others. */
  compiled(subjects: Iterable<Subject>): void {
    if (this.#followers.size === 0) return;
    for (const subject of subjects) {
      const [, network] = /^(?:gateway|services):(.*)$/.exec(subject) ?? [];
      if (network !== undefined) this.#each((follower) => follower.networkChanged(network));
    }
  }

  #changed({ kind, path, before, after }: ResourceChange): void {
    switch (kind) {
      case 'network':
        this.#each((follower) => follower.networkChanged(path));
        return;
      case 'tier':
      case 'route':
      case 'public-ip':
        this.#each((follower) => follower.networkChanged(parentPath(path)));
        return;
      case 'port':
        this.#each((follower) => follower.portChanged(path, before?.number));
        return;
      case 'nat-rule':
        // Metadata names the public address of a port.
        for (const rule of [before, after])
          if (rule?.spec.port !== undefined) {
            const port = `${rule.parent}/ports/${rule.spec.port}`;
            this.#each((follower) => follower.portChanged(port, undefined));
          }
        return;
      default:
    }
  }

  #each(tell: (follower: Follower) => void): void {
    for (const follower of this.#followers) tell(follower);
  }
}

/** What was told of a network. */
type Told = { number: number; head: string; ports: boolean };

/** Ports to be told of one network: path, and numbers that the path had and has no longer, perhaps. */
type Open = { head: boolean; ports: Map<Path, Set<number>> };

class Follower {
  readonly #state: CompileState;
  readonly #hypervisor: { number: HypervisorNumber; name: string };
  readonly #send: (text: string) => Promise<boolean>;
  readonly #told = new Map<Path, Told>();
  readonly #open = new Map<Path, Open>();
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(
    state: CompileState,
    hypervisor: { number: HypervisorNumber; name: string },
    send: (text: string) => Promise<boolean>,
  ) {
    this.#state = state;
    this.#hypervisor = hypervisor;
    this.#send = send;
  }

  get hypervisor(): HypervisorNumber {
    return this.#hypervisor.number;
  }

  networkChanged(network: Path): void {
    // Of no concern here unless it is served here, or is now to be.
    if (!this.#told.has(network) && !this.#isOurs(network)) return;
    this.#opened(network).head = true;
    this.#wake?.();
  }

  portChanged(port: Path, was: number | undefined): void {
    const network = parentPath(port);
    if (!this.#told.has(network)) return;
    const { ports } = this.#opened(network);
    const numbers = ports.get(port) ?? new Set();
    if (was !== undefined) numbers.add(was);
    ports.set(port, numbers);
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** Until it is closed, or takes nothing any more. */
  async run(): Promise<void> {
    const { view } = this.#state;
    const { number, name } = this.#hypervisor;
    await this.#say({ type: 'begin', hypervisor: number, name });
    for (const tenant of view.children('tenant', ''))
      for (const { path } of view.children('network', tenant.path))
        if (this.#isOurs(path)) this.#opened(path).head = true;
    await this.#tellOpen();
    await this.#say({ type: 'end' });
    while (!this.#closed) {
      if (this.#open.size > 0) await this.#tellOpen();
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
        // What one step of the engine brings is told together.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  async #tellOpen(): Promise<void> {
    for (const [path, open] of this.#open) {
      if (this.#closed) return;
      this.#open.delete(path);
      await this.#tellNetwork(path, open);
    }
  }

  async #tellNetwork(path: Path, { head, ports }: Open): Promise<void> {
    const network = this.#isOurs(path) ? this.#state.view.getAs('network', path) : undefined;
    const withPorts = serving(this.#state.view, network) !== 'nothing';
    const told = this.#told.get(path);
    // Another one of its name, or without its ports from here on: told anew.
    if (told !== undefined && (told.number !== network?.number || (told.ports && !withPorts))) {
      this.#told.delete(path);
      await this.#say({ type: 'remove', network: told.number });
    }
    if (network === undefined) return;
    const before = this.#told.get(path);
    const hadPorts = before?.ports === true;
    if (head || before === undefined) {
      const settings = servedNetwork(this.#state, network);
      const text = JSON.stringify(settings);
      // Noted before it is said: what becomes of the network while that takes its time is to be said too.
      this.#told.set(path, { number: network.number, head: text, ports: hadPorts });
      if (before?.head !== text) await this.#say({ type: 'network', network: settings });
    }
    this.#told.get(path)!.ports = withPorts;
    if (!withPorts) return;
    if (hadPorts) await this.#tellPorts(network, ports);
    else await this.#tellAllPorts(network);
  }

  async #tellAllPorts(network: Resource<'network'>): Promise<void> {
    // All at this moment: what changes while they are told is open again.
    const all = [...this.#state.view.children('port', network.path)];
    for (let from = 0; from < all.length && !this.#closed; from += portsAtOnce) {
      const set = all.slice(from, from + portsAtOnce).map((port) => servedPort(this.#state, port));
      await this.#say({ type: 'ports', network: network.number, set, remove: [] });
    }
  }

  async #tellPorts(network: Resource<'network'>, ports: ReadonlyMap<Path, ReadonlySet<number>>): Promise<void> {
    let set: ServedPort[] = [];
    let remove: number[] = [];
    const say = async () => {
      if (set.length + remove.length > 0) await this.#say({ type: 'ports', network: network.number, set, remove });
      set = [];
      remove = [];
    };
    for (const [path, numbers] of ports) {
      const port = this.#state.view.getAs('port', path);
      if (port !== undefined) set.push(servedPort(this.#state, port));
      for (const number of numbers) if (number !== port?.number) remove.push(number);
      if (set.length >= portsAtOnce || remove.length >= portsAtOnce) await say();
    }
    await say();
  }

  #isOurs(network: Path): boolean {
    return this.#state.gateways(network).includes(this.#hypervisor.number);
  }

  #opened(network: Path): Open {
    let open = this.#open.get(network);
    if (open === undefined) {
      open = { head: false, ports: new Map() };
      this.#open.set(network, open);
    }
    return open;
  }

  async #say(message: ServicesMessage): Promise<void> {
    if (!this.#closed && !(await this.#send(JSON.stringify(message)))) this.#closed = true;
  }
}

function servedNetwork(state: CompileState, network: Resource<'network'>): ServedNetwork {
  const { view } = state;
  const { path, name, number, uid, id, spec } = network;
  const tenant = view.getAs('tenant', network.parent)!;
  const tiers = [...view.children('tier', path)].map((tier) => ({
    number: tier.number,
    name: tier.name,
    cidr: tier.spec.cidr,
    gateway: tier.spec.gateway,
    ...(tier.spec.ipv6Cidr !== undefined && { ipv6Cidr: tier.spec.ipv6Cidr }),
    ...(tier.spec.ipv6Gateway !== undefined && { ipv6Gateway: tier.spec.ipv6Gateway }),
  }));
  const routes = [...view.children('route', path)].map(({ spec: { destination, nextHop } }) => ({
    destination,
    nextHop,
  }));
  return {
    ...{ number, uid, name, tenant: tenant.name, id, key: tenant.id },
    domain: spec.domain ?? `${name}.internal`,
    dnsServers: [...(spec.dnsServers ?? [])],
    mtu: spec.mtu ?? 1_400,
    dhcp: serving(view, network) === 'addresses',
    // In an order of their own: what is equal is told as equal.
    tiers: tiers.sort(byName),
    routes: routes.sort((a, b) => (a.destination < b.destination ? -1 : 1)),
    gateways: [...state.gateways(path)],
    publicAddresses: publicAddresses(state, path),
  };
}

function publicAddresses(state: CompileState, network: Path): ServedNetwork['publicAddresses'] {
  const found: ServedNetwork['publicAddresses'] = [];
  for (const address of state.view.children('public-ip', network)) {
    const patch = patchKeyOf(state, address);
    if (patch === undefined || !isAtGateways(state, address)) continue;
    found.push({ address: address.spec.address, mac: formatMac(publicMac(parseIpv4(address.spec.address)!)), patch });
  }
  return found.sort((a, b) => (a.address < b.address ? -1 : 1));
}

function servedPort({ view }: CompileState, { path, parent, name, number, uid, spec }: Resource<'port'>): ServedPort {
  let publicAddress: string | undefined;
  for (const rule of view.referrers(path)) {
    if (rule.kind !== 'nat-rule' || rule.spec.type !== 'static') continue;
    publicAddress = view.getAs('public-ip', `${parent}/public-ips/${rule.spec.publicIp}`)?.spec.address;
  }
  return {
    ...{ number, uid, name, hostname: spec.hostname ?? name, mac: spec.mac, ips: [...spec.ips], tier: spec.tier },
    ...(spec.userData !== undefined && { userData: spec.userData }),
    ...(spec.metadata !== undefined && { metadata: { ...spec.metadata } }),
    ...(publicAddress !== undefined && { publicAddress }),
  };
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
