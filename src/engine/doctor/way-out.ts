/** Gateways of networks, next hops of pools, conntrack zones of NAT. */
import type { HypervisorNumber } from '../../drivers/switch-plugin.ts';
import type { Path } from '../../intent/model.ts';
import type { Findings } from './findings.ts';
import { isConnected, type Patient } from './subjects.ts';

/** Silence that is worth a word: questions for a next hop without an answer. */
const silent = 3;

export function checkWayOut(patient: Patient, findings: Findings): void {
  checkGateways(patient, findings);
  checkPools(patient, findings);
}

function checkGateways(patient: Patient, findings: Findings): void {
  const { engine, view } = patient;
  const { fleet, state, wayOut } = engine;
  const isAway = (h: HypervisorNumber): boolean => {
    const member = fleet.get(h);
    return member === undefined || !isConnected(patient, member);
  };
  const check = 'network.gateways';
  const named = (hypervisors: readonly HypervisorNumber[]): string =>
    hypervisors.map((h) => fleet.name(h)).join(' and ');
  for (const path of networksOf(patient)) {
    const gateways = state.gateways(path);
    const lacking = [...wayOut.natZones.lacking(path)];
    if (lacking.length > 0) {
      const advice = 'Make another hypervisor a gateway, or move ports away: every port and network takes a zone there';
      findings.fail('network.zones', path, `${named(lacking)} has no conntrack zone left for its NAT`, advice);
    }
    if (gateways.length === 0) {
      const addresses = view.count('public-ip', path);
      if (addresses === 0) continue;
      const advice = 'Make hypervisors gateways: keyway hypervisor set NAME --gateway true';
      findings.fail(check, path, `it has ${addresses} public addresses and no gateway`, advice);
      continue;
    }
    const away = gateways.filter(isAway);
    if (away.length === gateways.length) {
      const found = `away: ${named(away)}, ${gateways.length > 1 ? 'both its gateways' : 'its only gateway'}`;
      const advice =
        'Bring one back. What they hold goes on if they are alive; make others gateways if they never come back';
      findings.fail(check, path, found, advice);
    } else if (away.length > 0) {
      const advice = 'Bring it back, or drain it: the network then gets another one';
      findings.warn(
        check,
        path,
        `${named(away)} is away, ${named(gateways.filter((h) => !isAway(h)))} is alone`,
        advice,
      );
    } else if (gateways.length === 1) {
      const advice = 'Make a second hypervisor a gateway, so that one may fail';
      findings.warn(check, path, `${named(gateways)} is its only gateway`, advice);
    } else findings.ok(check, path, 'two, and both are connected');
  }
}

/** Networks that have gateways, and those that have public addresses. */
function* networksOf({ view }: Patient): Iterable<Path> {
  for (const tenant of view.children('tenant', ''))
    for (const { path } of view.children('network', tenant.path)) yield path;
}

function checkPools({ engine, view }: Patient, findings: Findings): void {
  const check = 'ip-pool.next-hop';
  for (const { path, spec } of view.children('ip-pool', '')) {
    const unanswered = engine.nextHops.unanswered(path) ?? 0;
    const advice = `See that ${spec.gateway} is on provider network ${spec.providerNetwork} and answers ARP, or give its gatewayMac`;
    if (engine.state.nextHopMac(path) === undefined)
      findings.fail(check, path, `the MAC of its next hop ${spec.gateway} is not known: nothing leaves by it`, advice);
    else if (unanswered >= silent)
      findings.warn(check, path, `its next hop ${spec.gateway} has left ${unanswered} questions unanswered`, advice);
    else findings.ok(check, path, 'known');
  }
}
