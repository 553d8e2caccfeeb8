/** What is read from each hypervisor and its switch: tunnels, MTUs, errors of interfaces, drift. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Drift, HypervisorNumber, SwitchHealth } from '../../drivers/switch-plugin.ts';
import type { Member } from '../../inventory/fleet.ts';
import type { Findings } from './findings.ts';
import { isConnected, type Patient } from './subjects.ts';

/** Milliseconds a hypervisor has to answer. */
const patience = 5_000;

/** Hypervisors whose databases are asked at once. */
const databasesAtOnce = 16;

/** Switches that are read back at once: a reading costs a switch something, and us what we hold of it meanwhile. */
const readingsAtOnce = 8;

/** Milliseconds after which drift that is mended by itself is gone. */
const mendingTime = 1_500;

export async function checkHealth(patient: Patient, findings: Findings): Promise<void> {
  const { plugin, engine } = patient;
  const present = [...engine.fleet.all()].filter((member) => member.present);
  if (plugin.health === undefined || present.length === 0) return;
  const unknown: Unknown[] = [];
  await each(present, databasesAtOnce, async (member) => {
    const health = await asked(plugin.health!(member.number));
    if (health instanceof Error) tellSilence(findings, 'hypervisor.configuration', member, health);
    else {
      checkConfiguration(findings, member, health);
      checkTunnels(patient, findings, member, health);
      checkMappings(patient, findings, member, health);
      checkMtu(findings, member, health, unknown);
    }
  });
  tellUnknownMtus(findings, unknown);
}

export async function checkDrift(patient: Patient, findings: Findings): Promise<void> {
  await each([...patient.engine.fleet.all()], readingsAtOnce, async (member) => {
    // It may have gone while others were read.
    if (isConnected(patient, member)) await checkDriftOf(patient, findings, member);
  });
}

async function checkDriftOf(patient: Patient, findings: Findings, member: Member): Promise<void> {
  const { path, name } = member.resource;
  const first = await driftOf(patient, member.number);
  if (first instanceof Error) {
    tellSilence(findings, 'drift', member, first);
    return;
  }
  if (count(first) === 0) {
    findings.ok('drift', path, 'installed flows are the desired ones');
    return;
  }
  await sleep(mendingTime);
  const second = await driftOf(patient, member.number);
  const advice = `What differs: keyway flows diff ${name}. Somebody else may be writing to the switch`;
  if (!(second instanceof Error) && count(second) === 0)
    findings.warn('drift', path, `${inWords(first)}; mended while it was looked at`, advice);
  else findings.fail('drift', path, inWords(second instanceof Error ? first : second), advice);
}

/** So many at once, the next as soon as one is done. */
async function each<T>(all: readonly T[], atOnce: number, work: (one: T) => Promise<void>): Promise<void> {
  const queue = all.values();
  const lane = async () => {
    for (const one of queue) await work(one);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, lane));
}

async function driftOf({ plugin }: Patient, hypervisor: HypervisorNumber): Promise<Drift | Error> {
  try {
    return await plugin.drift(hypervisor);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function count({ missing, extra, different }: Drift): number {
  return missing.length + extra.length + different.length;
}

function inWords({ missing, extra, different }: Drift): string {
  return `${missing.length} flows missing, ${extra.length} extra, ${different.length} different`;
}

async function asked(answer: Promise<SwitchHealth>): Promise<SwitchHealth | Error> {
  const stop = new AbortController();
  const late = sleep(patience, new Error(`it did not answer within ${patience / 1000} s`), { signal: stop.signal });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    stop.abort();
    // Ends by the abort, and nobody waits for it.
    late.catch(() => undefined);
  }
}

function tellSilence(findings: Findings, check: string, { resource: { path } }: Member, error: Error): void {
  findings.warn(check, path, `it could not be read: ${error.message}`, 'See its connection, and ask again');
}

function checkConfiguration(findings: Findings, { resource: { path, name } }: Member, health: SwitchHealth): void {
  const check = 'hypervisor.configuration';
  if (!health.configured) {
    findings.fail(
      check,
      path,
      'ovs-vswitchd has not taken what stands in its database',
      `On ${name}: see that ovs-vswitchd runs, and its log`,
    );
  } else if (health.errors.length === 0) findings.ok(check, path, 'taken by ovs-vswitchd, no interface with an error');
  for (const { interface: port, error } of health.errors) {
    findings.warn(
      check,
      path,
      `interface ${port}: ${error}`,
      `On ${name}: ovs-vsctl list interface ${port}; a VM that is gone may have left it behind`,
    );
  }
}

function checkTunnels(patient: Patient, findings: Findings, member: Member, health: SwitchHealth): void {
  const { engine } = patient;
  const { path, name } = member.resource;
  const there = new Map(health.tunnels.map((tunnel) => [tunnel.peer, tunnel]));
  let well = 0;
  const wanted = engine.tunnels.wanted(member.number);
  for (const [peer, { remoteIp }] of wanted) {
    const other = engine.fleet.get(peer);
    const object = `${path} -> ${other?.resource.path ?? peer}`;
    const tunnel = there.get(peer);
    const seen = other !== undefined && isConnected(patient, other);
    if (tunnel === undefined) {
      findings.fail('tunnel', object, 'it has not been made', `See the log of this controller for ${name}`);
    } else if (tunnel.error !== undefined) {
      findings.fail('tunnel', object, tunnel.error, `On ${name}: ovs-vsctl list interface ${tunnel.interface}`);
    } else if (tunnel.bfd === undefined) {
      const advice = `On ${name}: ovs-appctl bfd/show ${tunnel.interface}`;
      findings.warn('tunnel', object, 'Open vSwitch tells nothing of its BFD', advice);
    } else if (tunnel.bfd.state === 'up' && tunnel.bfd.forwarding === false) {
      findings.warn(
        'tunnel',
        object,
        'BFD is up, and the other end says that what is sent there leads nowhere',
        'Its switch has no flows, or keyway gateway-host there does not see them: see the connection of the peer, and the log of that program',
      );
    } else if (tunnel.bfd.state === 'up') well++;
    else {
      const { state, diagnostic } = tunnel.bfd;
      const found = `BFD is ${state}${diagnostic === '' ? '' : ` (${diagnostic})`}`;
      if (!seen)
        findings.warn('tunnel', object, `${found}; the peer is not connected`, 'See the connection of the peer');
      else {
        findings.fail(
          'tunnel',
          object,
          found,
          `See that GRE (IP protocol 47) passes between ${name} and ${remoteIp} both ways: on ${name}, ping ${remoteIp}; then firewalls in between`,
        );
      }
    }
  }
  if (well > 0 && well === wanted.size) findings.ok('tunnel', path, `${well} with BFD up`);
}

function checkMappings({ engine }: Patient, findings: Findings, member: Member, { mappings }: SwitchHealth): void {
  const check = 'hypervisor.bridge-mappings';
  const { path, name } = member.resource;
  const wanted = [...engine.patches.wanted(member.number).values()];
  const hindered = mappings.filter(({ hindrance }) => hindrance !== undefined);
  for (const { physicalNetwork, bridge, hindrance } of hindered) {
    const found = `${physicalNetwork} is mapped to ${bridge}: ${hindrance}`;
    const advice = `On ${name}: ovs-vsctl list bridge ${bridge}; make it, with the interface that leads to ${physicalNetwork}, or correct external_ids:keyway-bridge-mappings`;
    if (wanted.some((patch) => patch.bridge === bridge)) findings.fail(check, path, found, advice);
    else findings.warn(check, path, `${found}; nothing needs it yet`, advice);
  }
  const missing = wanted.filter(
    ({ key, bridge }) => (member.patches.get(key) ?? 0) === 0 && !hindered.some((one) => one.bridge === bridge),
  );
  for (const { key, bridge } of missing) {
    findings.fail(check, path, `patch ${key} to ${bridge} is not there`, `See the log of this controller for ${name}`);
  }
  if (mappings.length > 0 && hindered.length === 0 && missing.length === 0)
    findings.ok(check, path, 'each leads to a bridge that is there');
}

type Unknown = { member: Member; by: string[]; needed: number };

function checkMtu(findings: Findings, member: Member, health: SwitchHealth, unknown: Unknown[]): void {
  const { vmMtu, underlay, overhead, tunnels } = health;
  if (vmMtu === undefined || tunnels.length === 0) return;
  const { path, name } = member.resource;
  const needed = vmMtu + overhead;
  const known = underlay.flatMap(({ interface: port, mtu }) => (mtu === undefined ? [] : [{ port, mtu }]));
  const small = known.filter(({ mtu }) => mtu < needed);
  for (const { port, mtu } of small) {
    // No failure: what the VM itself sends may be less than its interface would take.
    findings.warn(
      'hypervisor.mtu',
      path,
      `${port} carries ${mtu} bytes; VMs' interfaces take ${vmMtu}, which need ${needed} there, ${overhead} for GRE`,
      `On ${name}: ip link set ${port} mtu ${needed}, on the whole way between hypervisors; or give VMs ${mtu - overhead} at most`,
    );
  }
  if (small.length > 0) return;
  if (known.length > 0 && known.length === underlay.length)
    findings.ok('hypervisor.mtu', path, `the underlay carries what VMs' interfaces of ${vmMtu} need`);
  else unknown.push({ member, by: underlay.map((one) => one.interface), needed });
}

/** Most underlays are no port of Open vSwitch: one line, not one for each. */
function tellUnknownMtus(findings: Findings, unknown: readonly Unknown[]): void {
  const [first] = unknown;
  if (first === undefined) return;
  const needed = Math.max(...unknown.map((one) => one.needed));
  const by = [...new Set(unknown.flatMap((one) => one.by))];
  findings.warn(
    'hypervisor.mtu',
    unknown.length === 1 ? first.member.resource.path : `${unknown.length} hypervisors`,
    `the database does not tell the MTU of the underlay${by.length > 0 ? ` (${by.slice(0, 5).join(', ')})` : ''}; VMs need ${needed} there`,
    `On each: ip link show ${by[0] ?? ''} must tell an mtu of ${needed} or more`.replace('  ', ' '),
  );
}
