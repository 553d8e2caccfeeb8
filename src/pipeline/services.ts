/**
 * What flows and the program on gateway hosts (`keyway gateway-host`) agree on: where requests for services go, and how
 * the program learns who asks.
 */

/** Controller id (NXT_SET_CONTROLLER_ID, nicira-ext.h) of the program: what its flows send comes to it and to nobody else. */
export const responderControllerId = 0x4b47;

/** 169.254.169.254: names and metadata, the same for every tenant. */
export const serviceAddress = 0xa9fe_a9fe;

/** MAC of the program's own interface, behind the port of the services. */
export const servicesMac = 0x0a_ff_ff_ff_fe_01;

/** MAC that what it sends is addressed to: nobody's, flows take everything from that port. */
export const servicesNextHopMac = 0x0a_ff_ff_ff_fe_02;

/** 100.64.0.0/10 (RFC 6598), which no tenant's packet reaches the port of the services from. */
const identities = 0x6440_0000;

/**
 * Source address under which a port's requests reach the services of a gateway host. Two ports may share one: then the one
 * with the lower resource number is served.
 * @param port its resource number
 */
export function identityOf(port: number): number {
  return identities + (port % 2 ** 22);
}
