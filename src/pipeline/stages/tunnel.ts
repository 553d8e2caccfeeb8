/**
 * Tables Classifier (tunnel ports), TunnelIngress, TunnelLookup, TunnelSource and TunnelOutput. The tenant's key is the
 * tunnel key (tun_id), whatever the encapsulation; only the tunnel ports know which one it is.
 */
import { cookie } from '../cookie.ts';
import type { Flow, Match } from '../flow.ts';
import { load, matching, registers, subfield } from '../registers.ts';
import { tables } from '../tables.ts';
import { fromIp, type IpPrefix, type LocalPort, type RemotePort, toIp, toPrefix } from './ports.ts';

/** The tunnel port to a peer: what comes in by it, and what goes out. @param resource number of the peer's hypervisor resource */
export function tunnelPort(peer: number, ofport: number, resource: number): Flow[] {
  return [
    {
      table: tables.Classifier.id,
      priority: 90,
      cookie: cookie(tables.Classifier.id, resource),
      match: { in_port: ofport },
      actions: [load(registers.fromPeer, peer)],
      goto: tables.TunnelIngress.id,
    },
    {
      table: tables.TunnelOutput.id,
      priority: 100,
      cookie: cookie(tables.TunnelOutput.id, resource),
      match: matching({}, registers.toPeer, peer),
      actions: [
        { type: 'move', source: subfield(registers.key), target: { field: 'tun_id', offset: 0, bits: 32 } },
        { type: 'output', port: ofport },
      ],
    },
  ];
}

/** A key is taken from a peer that hosts its tenant. @param resource number of the tenant resource */
export function admitKey(peer: number, key: number, resource: number): Flow {
  return {
    table: tables.TunnelIngress.id,
    priority: 100,
    cookie: cookie(tables.TunnelIngress.id, resource),
    match: matching({ tun_id: key }, registers.fromPeer, peer),
    actions: [load(registers.key, key)],
    goto: tables.TunnelLookup.id,
  };
}

function fromTunnel(resource: number, priority: number, port: LocalPort, destination: Match): Flow {
  return {
    table: tables.TunnelLookup.id,
    priority,
    cookie: cookie(tables.TunnelLookup.id, resource),
    match: matching({ ...destination, vlan_vid: 0, eth_dst: port.mac }, registers.key, port.key),
    actions: [
      load(registers.outPort, port.ofport),
      load(registers.zone, port.zone),
      load(registers.portEpoch, port.epoch),
      load(registers.network, port.network),
    ],
    goto: tables.TunnelSource.id,
  };
}

/** What arrives for a local port. Tagged frames are none of ours. */
export function lookupFromTunnel(port: LocalPort): Flow[] {
  return port.ips.map((ip) => fromTunnel(port.number, 100, port, toIp(ip)));
}

/** What a static route has led to a local port. @param resource number of the static route */
export function routedFromTunnel(resource: number, prefix: IpPrefix, port: LocalPort): Flow {
  return fromTunnel(resource, 90, port, toPrefix(prefix));
}

/** What a remote port may be the source of, in its own network or (`network`) one peered to it. */
export function admitSource(port: RemotePort, network = port.network): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.TunnelSource.id,
    priority: 100,
    cookie: cookie(tables.TunnelSource.id, port.number),
    match: matching(matching(fromIp(ip), registers.network, network), registers.fromPeer, port.peer),
    actions: [],
    goto: tables.IngressConntrack.id,
  }));
}
