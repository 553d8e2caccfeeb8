/**
 * The program of a gateway host: it joins what the controller says is to be served, what the switch of this machine hands
 * over, and the sockets behind the services' interface.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { LocalDatabase, LocalFacts, LocalPackets, LocalSwitch } from '../drivers/local-switch.ts';
import type { PacketIn } from '../drivers/switch-plugin.ts';
import { parseIpv4 } from '../intent/addresses.ts';
import { reservedPort } from '../pipeline/flow.ts';
import { load, registers } from '../pipeline/registers.ts';
import { responderId } from '../pipeline/stages/services.ts';
import { tables } from '../pipeline/tables.ts';
import { Announcer } from './announcer.ts';
import { Memory } from './configuration/memory.ts';
import { ConfigurationStream } from './configuration/stream.ts';
import { Forwarder, type Upstream } from './dns/forwarder.ts';
import { HostNetwork } from './dns/host-resolvers.ts';
import { Resolver } from './dns/resolver.ts';
import { serveDnsOverTcp, serveDnsOverUdp } from './dns/server.ts';
import { interfaceName, openInterface, removeInterface, type Sockets } from './interface/open.ts';
import { metadataServer } from './metadata/server.ts';
import { MetadataTokens } from './metadata/tokens.ts';
import { PathGuard } from './path-guard.ts';
import { Rates } from './rates.ts';
import { Responder } from './responder.ts';
import { Advertiser } from './router/advertiser.ts';
import { type Port, Served } from './served.ts';

export type GatewayHostOptions = {
  switch: LocalSwitch;
  controllers: readonly string[];
  tokenFile: string;
  caFile?: string | undefined;
  /** Name of the hypervisor resource; what the switch calls itself (system-id) when left out. */
  hypervisor?: string | undefined;
  /** Where what is served is kept. */
  dataDir: string;
  /** Path of Open vSwitch's database socket; management sockets of bridges lie beside it. */
  database: string;
  /** In the place of those of /etc/resolv.conf. */
  resolvers: readonly Upstream[];
  /** Seconds. */
  leaseDuration: number;
  log: Logger;
};

export type RunningGatewayHost = {
  /** Idempotent. What it made is gone when it resolves. */
  stop(): Promise<void>;
};

/** Milliseconds between attempts to make what the services need. */
const retry = 2_000;
/** Of one port for names, and again for metadata: a second, and at once. */
const requests = { rate: 200, burst: 500 } as const;
/** Milliseconds between lines that say what was answered. */
const summary = 60_000;

/** @throws Error when it cannot begin: the data directory is another's, say */
export async function runGatewayHost(options: GatewayHostOptions): Promise<RunningGatewayHost> {
  const host = new GatewayHost(options);
  await host.start();
  return host;
}

class GatewayHost implements RunningGatewayHost {
  readonly #options: GatewayHostOptions;
  readonly #log: Logger;
  readonly #served = new Served();
  readonly #responder: Responder;
  readonly #announcer: Announcer;
  readonly #advertiser: Advertiser;
  readonly #guard: PathGuard;
  readonly #forwarder = new Forwarder();
  /** What was answered, by what it was, since it was said last. */
  readonly #counts = new Map<string, number>();
  #memory: Memory | undefined;
  #database: LocalDatabase | undefined;
  #packets: LocalPackets | undefined;
  #packetsOf: string | undefined;
  #stream: ConfigurationStream | undefined;
  #sockets: Sockets | undefined;
  #preparing: Promise<void> | undefined;
  #timers: NodeJS.Timeout[] = [];
  #stopped = false;
  #stopping: Promise<void> | undefined;

  constructor(options: GatewayHostOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#responder = new Responder(this.#served, options.leaseDuration);
    this.#announcer = new Announcer({
      networks: () => this.#served.networks.values(),
      patch: (key) => this.#database?.facts?.patches.get(key),
      // Nobody is to come here before there are flows.
      send: (ofport, bytes) =>
        this.#guard.isGood &&
        (this.#packets?.sendPacket({
          inPort: reservedPort.controller,
          actions: [{ type: 'output', port: ofport }],
          bytes,
        }) ??
          false),
      log: (fields) => this.#log.info(fields, 'public addresses announced'),
    });
    this.#guard = new PathGuard({
      database: () => this.#database,
      packets: () => this.#packets,
      onGood: () => this.#announceAll(),
      log: this.#log,
    });
    this.#advertiser = new Advertiser({
      ports: () => this.#served.ports(),
      count: () => this.#served.size,
      advertise: (port) => this.#advertise(port),
    });
  }

  async start(): Promise<void> {
    const { dataDir, database } = this.#options;
    this.#memory = await Memory.open(join(dataDir, 'served'), (err) =>
      this.#log.error({ err }, 'what is served could not be written down'),
    );
    const { self, unreadable } = await this.#memory.recall(this.#served);
    if (self !== undefined) this.#announcer.self = self;
    if (unreadable > 0) this.#log.warn({ unreadable }, 'records of what was served cannot be read');
    this.#log.info({ networks: this.#served.networks.size, ports: this.#served.size }, 'recalled what was served last');
    this.#database = this.#options.switch.watchDatabase(database, (facts) => this.#factsChanged(facts));
    this.#timers = [setInterval(() => this.#prepare(), retry), setInterval(() => this.#summarise(), summary)];
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  async #end(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#advertiser.close();
    this.#guard.close();
    this.#announcer.close();
    this.#stream?.close();
    // What is half made is made whole, and then taken away.
    await this.#preparing;
    const facts = this.#database?.facts;
    try {
      for (const name of facts?.services ?? []) await this.#database?.detach(facts!.bridge!, name);
    } catch (err) {
      this.#log.warn({ err }, 'the port of the services stays in the database; the next start takes it over');
    }
    this.#closeSockets();
    await removeInterface();
    this.#packets?.close();
    this.#database?.close();
    await this.#memory?.close();
  }

  #closeSockets(): void {
    this.#sockets?.dnsUdp.close();
    this.#sockets?.dnsTcp.close();
    this.#sockets?.metadata.close();
    this.#sockets = undefined;
  }

  #factsChanged(facts: LocalFacts | undefined): void {
    if (facts === undefined) return;
    this.#announcer.update(facts.tunnels, facts.patches);
    this.#connectPackets(facts.bridge);
    this.#followController(facts.systemId);
    this.#prepare();
  }

  /** The bridge is there once the controller has approved this hypervisor. */
  #connectPackets(bridge: string | undefined): void {
    if (bridge === undefined || bridge === this.#packetsOf) return;
    this.#packets?.close();
    this.#packetsOf = bridge;
    const socket = join(this.#options.database, '..', `${bridge}.mgmt`);
    this.#packets = this.#options.switch.connectPackets(socket, {
      controllerId: responderId,
      onPacketIn: (packet) => this.#answer(packet),
      onConnected: () => this.#guard.connected(),
      onDisconnected: () => this.#guard.disconnected(),
    });
  }

  #announceAll(): void {
    for (const network of this.#served.networks.values()) this.#announcer.networkChanged(network);
  }

  #followController(systemId: string | undefined): void {
    const hypervisor = this.#options.hypervisor ?? systemId;
    if (this.#stream !== undefined || hypervisor === undefined) return;
    const { controllers, tokenFile, caFile } = this.#options;
    const log = this.#log;
    this.#stream = new ConfigurationStream({
      controllers,
      hypervisor,
      tokenFile,
      caFile,
      log,
      onMessage: (message) => {
        if (message.type === 'begin') {
          this.#announcer.self = message.hypervisor;
          this.#memory?.keepSelf(message.hypervisor);
        }
        const effects = this.#served.apply(message);
        this.#memory?.keep(effects);
        for (const network of effects.networks) this.#announcer.networkChanged(network);
      },
      onSynced: () => {
        log.info({ networks: this.#served.networks.size, ports: this.#served.size }, 'up to date with the controller');
        for (const { told } of this.#served.clashes())
          log.warn(
            { port: told.uid },
            'names and metadata are not served to a port: another one here has its identity',
          );
      },
      onLost: () => {},
    });
    this.#stream.start();
  }

  /** Makes what names and metadata need, whenever it is not there. */
  #prepare(): void {
    if (this.#preparing !== undefined || this.#stopped) return;
    const facts = this.#database?.facts;
    if (facts?.bridge === undefined) return;
    if (this.#sockets !== undefined && facts.services.includes(interfaceName)) return;
    this.#preparing = this.#prepareNow(facts.bridge, facts.services)
      .catch((err: unknown) => this.#log.error({ err }, 'names and metadata cannot be served; it is tried again'))
      .finally(() => {
        this.#preparing = undefined;
      });
  }

  async #prepareNow(bridge: string, services: readonly string[]): Promise<void> {
    if (this.#sockets === undefined) {
      // A row of an earlier run names an interface that is gone: it comes again with the new one.
      for (const name of services) await this.#database?.detach(bridge, name);
      this.#serve(await openInterface((text) => this.#log.info(text)));
      await this.#database?.attach(bridge, interfaceName);
    } else if (!services.includes(interfaceName)) await this.#database?.attach(bridge, interfaceName);
    this.#log.info({ bridge, interface: interfaceName }, 'names and metadata are served');
  }

  #serve(sockets: Sockets): void {
    this.#sockets = sockets;
    const host = new HostNetwork(this.#options.resolvers);
    const resolver = new Resolver({
      forwarder: this.#forwarder,
      hostResolvers: () => host.resolvers,
      ownAddresses: () => host.addresses,
    });
    const portOf = (address: string): Port | undefined => {
      const value = parseIpv4(address.replace(/^::ffff:/, ''));
      return value === undefined ? undefined : this.#served.byIdentity(value);
    };
    const onError = (err: unknown) => this.#log.warn({ err }, 'a query could not be answered');
    const dns = { resolver, portOf, rates: new Rates(requests.rate, requests.burst), onError };
    serveDnsOverUdp(sockets.dnsUdp, dns);
    serveDnsOverTcp(sockets.dnsTcp, dns);
    sockets.dnsUdp.on('error', onError);
    sockets.dnsTcp.on('error', onError);
    metadataServer({ tokens: new MetadataTokens(), portOf, rates: new Rates(requests.rate, requests.burst) })
      .listen(sockets.metadata)
      .on('error', onError);
  }

  #answer({ fields, bytes }: PacketIn): void {
    const outcome = this.#responder.answer(keyOf(fields.metadata), bytes);
    if (outcome.kind === 'silence') {
      this.#count(`nothing: ${outcome.why}`);
      this.#log.debug({ why: outcome.why, service: outcome.service, port: outcome.port?.told.uid }, 'not answered');
      return;
    }
    this.#count(outcome.service);
    this.#send(outcome.port, outcome.frame);
  }

  #advertise(port: Port): void {
    if (!this.#announcer.inCharge(port.network)) return;
    const frame = this.#responder.advertisement(port);
    if (frame !== undefined) this.#send(port, frame);
  }

  /** As if the network's gateway had sent it: flows take it to the port, wherever that is. */
  #send({ network }: Port, bytes: Buffer): void {
    const { key, id } = network.told;
    this.#packets?.sendPacket({
      inPort: reservedPort.controller,
      actions: [
        load(registers.key, key),
        load(registers.network, id),
        load(registers.service, 1),
        { type: 'resubmit', table: tables.Lookup.id },
      ],
      bytes,
    });
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  #summarise(): void {
    if (this.#counts.size === 0) return;
    this.#log.info(Object.fromEntries(this.#counts), 'answered in the last minute');
    this.#counts.clear();
  }
}

/** The tenant's key is in the low half of metadata. */
function keyOf(metadata: PacketIn['fields']['metadata']): number {
  const value = typeof metadata === 'object' && metadata !== null ? metadata.value : metadata;
  return value === undefined ? 0 : Number(BigInt(value) & 0xffff_ffffn);
}
