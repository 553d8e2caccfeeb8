/**
 * What this gateway host serves, in memory: networks and their ports, found by who asks. Kept up by messages of the
 * controller, each at the cost of what it says.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ServedNetwork, ServedPort, ServedTier, ServicesMessage } from '../drivers/gateway-services.ts';
import { generatedMac, parseIpv4, parseMac } from '../intent/addresses.ts';
import { canonicalIp, type Ip, type IpPrefix, isIn, parseIp, parseIpPrefix } from '../intent/ip.ts';
import { serviceIdentity } from '../pipeline/stages/services.ts';

export type Tier = {
  readonly told: ServedTier;
  readonly prefix: IpPrefix & { family: 4 };
  readonly gateway: number;
  readonly prefix6: (IpPrefix & { family: 6 }) | undefined;
  /** Of its router. */
  readonly mac: number;
};

export type Port = {
  readonly told: ServedPort;
  readonly network: Network;
  readonly number: number;
  readonly mac: number;
  readonly ips: readonly Ip[];
  generation: number;
};

export class Network {
  told: ServedNetwork;
  generation: number;
  readonly ports = new Map<number, Port>();
  /** By first label, in lower case. */
  readonly names = new Map<string, Set<Port>>();
  /** By canonical text. */
  readonly addresses = new Map<string, Port>();
  #tiers: ReadonlyMap<string, Tier>;

  constructor(told: ServedNetwork, generation: number) {
    this.told = told;
    this.generation = generation;
    this.#tiers = tiersOf(told);
  }

  retell(told: ServedNetwork): void {
    this.told = told;
    this.#tiers = tiersOf(told);
  }

  /** MAC of the network's gateway. */
  get gatewayMac(): number {
    return generatedMac(this.told.number);
  }

  tierOf(port: Port): Tier | undefined {
    return this.#tiers.get(port.told.tier);
  }

  /** Whether the address belongs to one of its tiers. */
  covers(ip: Ip): boolean {
    for (const { prefix, prefix6 } of this.#tiers.values())
      if (isIn(prefix, ip) || (prefix6 !== undefined && isIn(prefix6, ip))) return true;
    return false;
  }
}

/** What has to be written down for a message to be remembered. */
export type Effects = { networks: Network[]; ports: Port[]; goneNetworks: number[]; gonePorts: [number, number][] };

export class Served {
  readonly networks = new Map<number, Network>();
  readonly #byClient = new Map<number, Map<number, Port>>();
  readonly #byIdentity = new Map<number, Port[]>();
  #generation = 0;
  #ports = 0;

  /** Ports of all networks. */
  get size(): number {
    return this.#ports;
  }

  /** The port of the tenant with this key that has the MAC. */
  byMac(key: number, mac: number): Port | undefined {
    return this.#byClient.get(key)?.get(mac);
  }

  /** The port that a source address on the services' interface stands for. */
  byIdentity(address: number): Port | undefined {
    const found = this.#byIdentity.get(address);
    if (found === undefined || found.length === 1) return found?.[0];
    return found.reduce((one, other) => (one.number < other.number ? one : other));
  }

  /** Ports that are not served by address, as another one here has the same identity. */
  clashes(): Port[] {
    return [...this.#byIdentity.values()].flatMap((ports) =>
      ports.length === 1 ? [] : [...ports].sort((a, b) => a.number - b.number).slice(1),
    );
  }

  *ports(): Iterable<Port> {
    for (const network of this.networks.values()) yield* network.ports.values();
  }

  /** @returns what is different now. Ports of a network that was never told are passed over. */
  apply(message: ServicesMessage): Effects {
    const effects: Effects = { networks: [], ports: [], goneNetworks: [], gonePorts: [] };
    switch (message.type) {
      case 'begin':
        this.#generation++;
        break;
      case 'network':
        this.#setNetwork(message.network, effects);
        break;
      case 'ports': {
        const network = this.networks.get(message.network);
        if (network === undefined) break;
        for (const number of message.remove) this.#removePort(network, number, effects);
        for (const told of message.set) this.#setPort(network, told, effects);
        break;
      }
      case 'remove':
        this.#removeNetwork(message.network, effects);
        break;
      case 'end':
        this.#sweep(effects);
        break;
    }
    return effects;
  }

  #sweep(effects: Effects): void {
    for (const [number, network] of this.networks) {
      if (network.generation !== this.#generation) this.#removeNetwork(number, effects);
      else
        for (const port of network.ports.values())
          if (port.generation !== this.#generation) this.#removePort(network, port.number, effects);
    }
  }

  #setNetwork(told: ServedNetwork, effects: Effects): void {
    const network = this.networks.get(told.number);
    if (network === undefined) {
      const made = new Network(told, this.#generation);
      this.networks.set(told.number, made);
      effects.networks.push(made);
      return;
    }
    network.generation = this.#generation;
    if (isDeepStrictEqual(network.told, told)) return;
    const key = network.told.key;
    network.retell(told);
    effects.networks.push(network);
    if (key === told.key) return;
    for (const port of network.ports.values()) {
      this.#leaveClient(key, port);
      this.#enterClient(told.key, port);
    }
  }

  #removeNetwork(number: number, effects: Effects): void {
    const network = this.networks.get(number);
    if (network === undefined) return;
    for (const port of network.ports.values()) this.#drop(network, port);
    this.networks.delete(number);
    effects.goneNetworks.push(number);
  }

  #setPort(network: Network, told: ServedPort, effects: Effects): void {
    const before = network.ports.get(told.number);
    if (before !== undefined && isDeepStrictEqual(before.told, told)) {
      before.generation = this.#generation;
      return;
    }
    const mac = parseMac(told.mac);
    if (mac === undefined) throw new RangeError(`port ${told.number}: ${told.mac} is no MAC`);
    const ips = told.ips.map(parseIp).filter((ip) => ip !== undefined);
    const port: Port = { told, network, number: told.number, mac, ips, generation: this.#generation };
    if (before !== undefined) this.#drop(network, before);
    network.ports.set(port.number, port);
    this.#ports++;
    this.#enterClient(network.told.key, port);
    const identity = serviceIdentity(port.number);
    const sharing = this.#byIdentity.get(identity);
    if (sharing === undefined) this.#byIdentity.set(identity, [port]);
    else sharing.push(port);
    const name = told.hostname.toLowerCase();
    const named = network.names.get(name);
    if (named === undefined) network.names.set(name, new Set([port]));
    else named.add(port);
    for (const ip of told.ips) network.addresses.set(canonicalIp(ip), port);
    effects.ports.push(port);
  }

  #removePort(network: Network, number: number, effects: Effects): void {
    const port = network.ports.get(number);
    if (port === undefined) return;
    this.#drop(network, port);
    effects.gonePorts.push([network.told.number, number]);
  }

  #drop(network: Network, port: Port): void {
    network.ports.delete(port.number);
    this.#ports--;
    this.#leaveClient(network.told.key, port);
    const identity = serviceIdentity(port.number);
    const rest = this.#byIdentity.get(identity)?.filter((other) => other !== port) ?? [];
    if (rest.length === 0) this.#byIdentity.delete(identity);
    else this.#byIdentity.set(identity, rest);
    const name = port.told.hostname.toLowerCase();
    const named = network.names.get(name);
    named?.delete(port);
    if (named?.size === 0) network.names.delete(name);
    for (const text of port.told.ips) {
      const ip = canonicalIp(text);
      if (network.addresses.get(ip) === port) network.addresses.delete(ip);
    }
  }

  #enterClient(key: number, port: Port): void {
    const clients = this.#byClient.get(key);
    if (clients === undefined) this.#byClient.set(key, new Map([[port.mac, port]]));
    else clients.set(port.mac, port);
  }

  #leaveClient(key: number, port: Port): void {
    const clients = this.#byClient.get(key);
    // Another one may have taken over its MAC.
    if (clients?.get(port.mac) !== port) return;
    clients.delete(port.mac);
    if (clients.size === 0) this.#byClient.delete(key);
  }
}

/** @throws RangeError for what is no address or prefix: the controller tells canonical ones */
function tiersOf(told: ServedNetwork): Map<string, Tier> {
  const tiers = new Map<string, Tier>();
  for (const tier of told.tiers) {
    const prefix = parseIpPrefix(tier.cidr);
    const gateway = parseIpv4(tier.gateway);
    const prefix6 = tier.ipv6Cidr === undefined ? undefined : parseIpPrefix(tier.ipv6Cidr);
    if (prefix?.family !== 4 || gateway === undefined) throw new RangeError(`tier ${tier.name} of ${told.name}`);
    tiers.set(tier.name, {
      told: tier,
      prefix,
      gateway,
      prefix6: prefix6?.family === 6 ? prefix6 : undefined,
      mac: generatedMac(tier.number),
    });
  }
  return tiers;
}
