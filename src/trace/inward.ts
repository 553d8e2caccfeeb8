/** The first step from outside: the router of the provider network asks who has the public address. */
import { formatMac } from '../intent/addresses.ts';
import { formatIp, type Ip, parseIp } from '../intent/ip.ts';
import type { Resource } from '../intent/model.ts';
import { networkOf } from '../intent/path.ts';
import { providerPatch } from '../inventory/patch-keys.ts';
import type { AnsweredHop, Neighbour, Verdict } from './answer.ts';
import { type Entrance, entrances, type Inbound, publicIpWith } from './outside.ts';
import { answeredMac, neighbourRequest } from './probe.ts';
import { macOf, type Resolved } from './request.ts';
import { describeHops } from './steps.ts';
import type { Surroundings, SwitchesNow } from './surroundings.ts';
import { type Assumed, joined, passedOn, type Walk, walk } from './walk.ts';

export type Inward =
  | { asked: Resolved; told: Neighbour }
  | { asked: undefined; nobody: Resolved; told: Neighbour; hops: AnsweredHop[]; verdict: Verdict };

/** The router's, where nobody knows it: administered locally. */
export const someRouter = 0x0200_0000_0001;

/** Where packets for the address come in just now, and the MAC it has there. */
type Taken = { at: Entrance; mac: number };
type Asking = { target: Ip; source: Ip; mac: number };

/** Who is in charge of the address says so. Where several do, the first is followed. */
async function whoTakes(
  around: Surroundings,
  switches: SwitchesNow,
  publicIp: Resource<'public-ip'>,
  { target, source, mac }: Asking,
): Promise<{ taken: Taken | undefined; silent: Walk[] }> {
  const silent: Walk[] = [];
  for (const at of entrances(around, publicIp)) {
    if (switches.isDown(at.hypervisor)) continue;
    const question = neighbourRequest({ inPort: at.ofport, mac, source, target });
    const walked = await walk(switches, { hypervisor: at.hypervisor, packet: question });
    const answer = walked.ends.find((end) => end.kind === 'answered');
    const found = answer === undefined ? undefined : answeredMac(answer.packet);
    if (found !== undefined) return { taken: { at, mac: found }, silent };
    silent.push(walked);
  }
  return { taken: undefined, silent };
}

export async function inboundOf(
  around: Surroundings,
  switches: SwitchesNow,
  { source, publicIp: _, port: __, ...packet }: Inbound,
  publicIp: Resource<'public-ip'>,
): Promise<Inward> {
  const { view } = around;
  const target = ipv4(publicIp.spec.address);
  const pool = view.getAs('ip-pool', `ip-pools/${publicIp.spec.pool}`);
  const router = pool && parseIp(pool.spec.gateway);
  const mac = (pool && around.nextHopMac?.(pool.path)) ?? someRouter;
  const common = { network: publicIp.parent, target, receiver: undefined, publicIp, ...packet };
  const { taken, silent } = await whoTakes(around, switches, publicIp, { target, source: router ?? source, mac });
  if (taken !== undefined) {
    const text = `${formatIp(target)} is at ${formatMac(taken.mac)} for the router of its pool`;
    return {
      asked: { ...common, sender: { port: undefined, mac, ip: source, at: taken.at }, targetMac: taken.mac },
      told: { asked: formatIp(target), mac: formatMac(taken.mac), text },
    };
  }
  const hops = silent.flatMap((walked) => describeHops(around, walked));
  const text = `Nobody answers for ${formatIp(target)} on its provider network`;
  const verdict: Verdict = {
    outcome: 'refused',
    reason: 'no-answer',
    text,
    decisions: [],
    needs: missing(around, publicIp, silent.length > 0),
  };
  const nobody = { ...common, sender: { port: undefined, mac, ip: source, at: { hypervisor: 0, ofport: 0 } } };
  return { asked: undefined, nobody, told: { asked: formatIp(target), text }, hops, verdict };
}

/** To a port that is straight on a provider network: what comes for it comes to its own hypervisor. Undefined: it is none, or not bound. */
export function straightTo(
  { view, placement, fleet }: Surroundings,
  { source, publicIp: _, port, ...packet }: Inbound,
): Resolved | undefined {
  const network = port && networkOf(port.path);
  const tier = port && view.getAs('tier', `${network}/tiers/${port.spec.tier}`);
  const provider =
    tier?.spec.providerNetwork === undefined
      ? undefined
      : view.getAs('provider-network', `provider-networks/${tier.spec.providerNetwork}`);
  const target = port?.spec.ips.map(parseIp).find((ip) => ip?.family === 4);
  const bound = port && placement.get(port.path);
  const ofport = bound && provider && fleet.get(bound.hypervisor)?.patches.get(providerPatch(provider.number));
  if (port === undefined || network === undefined || target === undefined || bound === undefined || !ofport)
    return undefined;
  return {
    ...packet,
    network,
    sender: { port: undefined, mac: someRouter, ip: source, at: { hypervisor: bound.hypervisor, ofport } },
    target,
    targetMac: macOf(port),
    receiver: { port, mac: macOf(port), ip: target },
  };
}

/** What leaves for a public address of somebody here is taken to be sent back by the router of its provider network. */
export async function backFromOutside(
  around: Surroundings,
  switches: SwitchesNow,
  walked: Walk,
  assumed: Assumed,
): Promise<Walk> {
  const end = walked.ends.find((one) => one.kind === 'outside');
  const target = end?.packet.get('ipv4_dst');
  if (end === undefined || target === undefined) return walked;
  const ip = { family: 4, value: Number(target) } as const;
  const publicIp = publicIpWith(around.view, ip);
  const given = Number(end.packet.get('eth_dst') ?? 0n);
  const back = passedOn(end.packet, 0);
  if (publicIp === undefined || back === undefined) return walked;
  const source: Ip = { family: 4, value: Number(end.packet.get('ipv4_src') ?? 0n) };
  const { taken } = await whoTakes(around, switches, publicIp, { target: ip, source, mac: given });
  if (taken === undefined) return walked;
  back.set('in_port', taken.at.ofport);
  back.set('eth_dst', taken.mac);
  return joined(walked, end, await walk(switches, { hypervisor: taken.at.hypervisor, packet: back }, assumed));
}

function missing({ view }: Surroundings, { path, name, parent }: Resource<'public-ip'>, entrance: boolean): string[] {
  if ([...view.natRulesOf(path)].length === 0) return [`a nat-rule in ${parent} for public-ip ${name}`];
  if (entrance) return [`Status programmed of ${path}`];
  return ['The operator of the cloud: a gateway of the network that is alive and has the provider network of its pool'];
}

function ipv4(text: string): Ip & { family: 4 } {
  const ip = parseIp(text);
  if (ip?.family !== 4) throw new Error(`unchecked public address in intent: ${text}`);
  return ip;
}
