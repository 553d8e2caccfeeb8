/**
 * What a gateway host is told to serve: the messages of `/v1/gateway-hosts/{hypervisor}/services`, JSON texts, from the
 * controller to `keyway gateway-host`. First the whole, between `begin` and `end`; then only what changes.
 * Addresses, prefixes and MACs are in their canonical text forms.
 */
import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const Numbered = Type.Integer({ minimum: 0 });

export const ServedTier = Type.Object(
  {
    /** Resource number: the router's MAC is made from it. */
    number: Numbered,
    name: Type.String(),
    cidr: Type.String(),
    gateway: Type.String(),
    ipv6Cidr: Type.Optional(Type.String()),
    ipv6Gateway: Type.Optional(Type.String()),
  },
  closed,
);
export type ServedTier = Static<typeof ServedTier>;

export const ServedPort = Type.Object(
  {
    /** Resource number: what it is told apart by at names and metadata is made from it. */
    number: Numbered,
    uid: Type.String(),
    name: Type.String(),
    /** First label of its names. */
    hostname: Type.String(),
    mac: Type.String(),
    ips: Type.Array(Type.String()),
    /** Name of its tier. */
    tier: Type.String(),
    /** Base64. */
    userData: Type.Optional(Type.String()),
    metadata: Type.Optional(Type.Record(Type.String(), Type.String())),
    /** Address of its static NAT. */
    publicAddress: Type.Optional(Type.String()),
  },
  closed,
);
export type ServedPort = Static<typeof ServedPort>;

export const ServedNetwork = Type.Object(
  {
    /** Resource number: the gateway's MAC is made from it. */
    number: Numbered,
    uid: Type.String(),
    name: Type.String(),
    tenant: Type.String(),
    /** Network number in registers. */
    id: Numbered,
    /** The tenant's key. */
    key: Numbered,
    /** DNS suffix of its ports' names. */
    domain: Type.String(),
    /** Whom other names are asked of; the gateway host's own resolvers where there are none. */
    dnsServers: Type.Array(Type.String()),
    /** Bytes of an IP packet. */
    mtu: Numbered,
    /** Whether addresses are handed out. */
    dhcp: Type.Boolean(),
    tiers: Type.Array(ServedTier),
    routes: Type.Array(Type.Object({ destination: Type.String(), nextHop: Type.String() }, closed)),
    /** Numbers of the gateway hypervisors, the first of which is in charge while it is alive. */
    gateways: Type.Array(Numbered),
    /** Public addresses whose home the gateways are, to be announced by the one in charge. */
    publicAddresses: Type.Array(
      Type.Object(
        {
          address: Type.String(),
          mac: Type.String(),
          /** Key of the patch to the provider network. */
          patch: Type.String(),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type ServedNetwork = Static<typeof ServedNetwork>;

export const ServicesMessage = Type.Union([
  /** The whole follows: what is not named before `end` is not to be served any more. */
  Type.Object({ type: Type.Literal('begin'), hypervisor: Numbered, name: Type.String() }, closed),
  /** A network as it is now, its ports aside. */
  Type.Object({ type: Type.Literal('network'), network: ServedNetwork }, closed),
  /** Ports of a network that was told before: those that are new or have changed, and numbers of those that are gone. */
  Type.Object(
    {
      type: Type.Literal('ports'),
      network: Numbered,
      set: Type.Array(ServedPort),
      remove: Type.Array(Numbered),
    },
    closed,
  ),
  /** It is served here no longer, with all its ports. */
  Type.Object({ type: Type.Literal('remove'), network: Numbered }, closed),
  Type.Object({ type: Type.Literal('end') }, closed),
]);
export type ServicesMessage = Static<typeof ServicesMessage>;

/** Ports in one message at most. */
export const portsAtOnce = 200;

/** Where the API gets it from. */
export interface GatewayServices {
  /**
   * Tells what the hypervisor with this number is to serve: the whole, then what changes, as texts, one after another.
   * @param send resolves once it may be told more; false: it takes nothing any more
   */
  follow(hypervisor: { number: number; name: string }, send: (text: string) => Promise<boolean>): { close(): void };
}
