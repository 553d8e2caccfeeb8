/** Objects of intent that are not where they should be. */
import type { Findings } from './findings.ts';
import { isConnected, type Patient } from './subjects.ts';

export function checkObjects({ view, engine, status, progress }: Patient, findings: Findings): void {
  const { fleet, bindings, compiler } = engine;
  let refused = 0;
  for (const [number, rejections] of status.refusals()) {
    const object = number === 0 ? 'the pipeline itself' : (view.byNumber(number)?.path ?? `resource ${number}`);
    for (const { hypervisor, error, flow } of rejections) {
      refused++;
      findings.fail(
        'object.refused',
        object,
        `hypervisor ${fleet.name(hypervisor)} refused a flow of it: ${error}`,
        `Nothing of it is on that switch until the switch takes the flow, or the object changes. The flow: ${flow}`,
      );
    }
  }
  if (refused === 0) findings.ok('object.refused', 'objects', 'no switch has refused anything');
  for (const [subject, message] of compiler.failures)
    findings.fail('object.compiled', subject, `cannot be compiled: ${message}`, 'Report it with this line');

  let contested = 0;
  for (const ifaceId of bindings.claims.contested()) {
    const port = view.portByIfaceId(ifaceId);
    if (port === undefined) continue;
    const others = bindings.conflicts(port);
    if (others.length === 0) continue;
    contested++;
    const bound = bindings.placement.get(port.path);
    const has = bound === undefined ? 'none has it' : `${fleet.name(bound.hypervisor)} has it`;
    findings.warn(
      'port.conflict',
      port.path,
      `${others.map(({ hypervisor }) => fleet.name(hypervisor)).join(', ')} shows its ifaceId too; ${has}`,
      'Take the interface away that is not the VM. For a migration, name both hypervisors in the port',
    );
  }
  if (contested === 0) findings.ok('port.conflict', 'ports', 'no port is claimed twice');

  for (const member of fleet.all()) {
    if (isConnected({ progress }, member)) continue;
    const ports = bindings.placement.portsOn(member.number).size;
    if (ports === 0) continue;
    findings.warn(
      'port.away',
      member.resource.path,
      `${ports} ports are bound there, and it is away: what it holds goes on, changes wait`,
      `Bring it back, or if it never comes back: keyway hypervisor lost ${member.resource.name}`,
    );
  }
}
