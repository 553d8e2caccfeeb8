/** The first step from outside: the router of the provider network asks who has the public address. */
import { formatMac } from '../intent/addresses.ts';
import { formatIp, type Ip, parseIp } from '../intent/ip.ts';
import type { Resource } from '../intent/model.ts';
import type { AnsweredHop, Neighbour, Verdict } from './answer.ts';
import { entrances, type Inbound } from './outside.ts';
import { answeredMac, neighbourRequest } from './probe.ts';
import type { Resolved } from './request.ts';
import { describeHops } from './steps.ts';
import type { Surroundings, SwitchesNow } from './surroundings.ts';
import { walk } from './walk.ts';

export type Inward =
  | { asked: Resolved; told: Neighbour }
  | { asked: undefined; nobody: Resolved; told: Neighbour; hops: AnsweredHop[]; verdict: Verdict };

/** The router's, where nobody knows it: administered locally. */
const someRouter = 0x0200_0000_0001;

/** Who is in charge of the address says so. Where several do, the first is followed. */
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
  const hops: AnsweredHop[] = [];
  const open = entrances(around, publicIp).filter(({ hypervisor }) => !switches.isDown(hypervisor));
  for (const at of open) {
    const question = neighbourRequest({ inPort: at.ofport, mac, source: router ?? source, target });
    const walked = await walk(switches, { hypervisor: at.hypervisor, packet: question });
    const answer = walked.ends.find((end) => end.kind === 'answered');
    const found = answer === undefined ? undefined : answeredMac(answer.packet);
    if (found !== undefined) {
      const text = `${formatIp(target)} is at ${formatMac(found)} for the router of its pool`;
      return {
        asked: { ...common, sender: { port: undefined, mac, ip: source, at }, targetMac: found },
        told: { asked: formatIp(target), mac: formatMac(found), text },
      };
    }
    hops.push(...describeHops(around, walked));
  }
  const text = `Nobody answers for ${formatIp(target)} on its provider network`;
  const verdict: Verdict = {
    outcome: 'refused',
    reason: 'no-answer',
    text,
    decisions: [],
    needs: missing(around, publicIp, open.length > 0),
  };
  const nobody = { ...common, sender: { port: undefined, mac, ip: source, at: { hypervisor: 0, ofport: 0 } } };
  return { asked: undefined, nobody, told: { asked: formatIp(target), text }, hops, verdict };
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
