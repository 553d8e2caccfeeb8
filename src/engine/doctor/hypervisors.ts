/** Hypervisors as inventory knows them: sessions, approval, address, version. */
import type { Member } from '../../inventory/fleet.ts';
import type { Findings } from './findings.ts';
import { isConnected, type Patient } from './subjects.ts';

/** The oldest Open vSwitch that is supported. */
const oldest = [2, 17] as const;

export function checkHypervisors(patient: Patient, findings: Findings): void {
  const members = [...patient.engine.fleet.all()];
  if (members.length === 0) {
    findings.warn(
      'hypervisor.connection',
      'hypervisors',
      'none is approved',
      'On each hypervisor: ovs-vsctl set-manager TARGET, as the log of the start names it; then: keyway hypervisor approve NAME',
    );
  }
  const addresses = new Map<string, Member[]>();
  for (const member of members) {
    checkConnection(patient, findings, member);
    checkVersion(findings, member);
    const ip = member.facts?.encapIp;
    if (ip !== undefined) addresses.set(ip, [...(addresses.get(ip) ?? []), member]);
  }
  for (const member of members) checkAddress(patient, findings, member, addresses);
  for (const { name, facts } of patient.engine.fleet.pending()) {
    findings.warn(
      'hypervisor.approval',
      `hypervisors/${name}`,
      `system-id ${facts.systemId} from ${facts.peer} waits for approval; nothing is written to it`,
      `If it is yours: keyway hypervisor approve ${name}`,
    );
  }
}

function checkConnection(patient: Patient, findings: Findings, member: Member): void {
  const { path, name } = member.resource;
  const check = 'hypervisor.connection';
  if (isConnected(patient, member)) {
    findings.ok(check, path, 'OVSDB and OpenFlow sessions are up, in sync');
  } else if (!member.present) {
    findings.fail(
      check,
      path,
      'there is no OVSDB session',
      `On ${name}: ovs-vsctl show tells its manager and whether it is connected; see that it reaches this controller`,
    );
  } else if (!member.ready) {
    findings.warn(
      check,
      path,
      'the OVSDB session is up; its interfaces and tunnels are not known yet',
      'Ask again in some seconds. Should it stay so, see the log of this controller',
    );
  } else {
    findings.fail(
      check,
      path,
      'the OVSDB session is up, the OpenFlow session is not, or not in sync yet',
      `On ${name}: ovs-vsctl list controller tells its last error; see that it reaches the OpenFlow port of this controller`,
    );
  }
}

function checkVersion(findings: Findings, { resource: { path, name }, facts }: Member): void {
  const check = 'hypervisor.version';
  const version = facts?.ovsVersion ?? '';
  const found = /^(\d+)\.(\d+)/.exec(version);
  if (found === null) {
    if (facts === undefined) return;
    findings.warn(
      check,
      path,
      version === '' ? 'Open vSwitch tells no version' : `Open vSwitch tells version ${version}, which is none`,
      `On ${name}: ovs-vsctl get Open_vSwitch . ovs_version; ovs-ctl sets it when it starts Open vSwitch`,
    );
    return;
  }
  const [major, minor] = [Number(found[1]), Number(found[2])];
  if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1]))
    findings.ok(check, path, `Open vSwitch ${version}`);
  else
    findings.fail(
      check,
      path,
      `Open vSwitch ${version} is older than ${oldest.join('.')}`,
      `Bring Open vSwitch on ${name} up to ${oldest.join('.')} or later`,
    );
}

function checkAddress(
  { engine }: Patient,
  findings: Findings,
  { number, resource: { path, name }, facts }: Member,
  addresses: ReadonlyMap<string, Member[]>,
): void {
  const check = 'hypervisor.encap-ip';
  if (facts === undefined) return;
  const set = `On ${name}: ovs-vsctl set Open_vSwitch . external_ids:keyway-encap-ip=ADDRESS`;
  if (facts.encapIp === undefined) {
    const peers = engine.bindings.placement.peersOf(number).length;
    const found = 'it has no address for tunnels';
    if (peers > 0) findings.fail(check, path, `${found}, and shares tenants with ${peers} others`, set);
    else findings.warn(check, path, found, set);
    return;
  }
  const others = addresses.get(facts.encapIp)!.filter((other) => other.number !== number);
  if (others.length === 0) findings.ok(check, path, 'set, and no other has it');
  else {
    const names = others.map((other) => other.resource.name).join(', ');
    findings.fail(check, path, `${facts.encapIp} is also the address of ${names}`, set);
  }
}
