/** Looks at everything there is, from the store to each hypervisor's tunnels, and says what is wrong and what to do. */
import type { Diagnosis } from '../../reconcile/upkeep.ts';
import { Findings } from './findings.ts';
import { checkGatewayHosts } from './gateway-hosts.ts';
import { checkHypervisors } from './hypervisors.ts';
import { checkObjects } from './objects.ts';
import { checkProcess } from './process.ts';
import type { Patient } from './subjects.ts';
import { checkDrift, checkHealth } from './switches.ts';
import { checkWayOut } from './way-out.ts';

/** @param quick Leaves out what reads every switch back. */
export async function diagnose(patient: Patient, quick: boolean): Promise<Diagnosis> {
  const findings = new Findings();
  await checkProcess(patient, findings);
  checkHypervisors(patient, findings);
  checkObjects(patient, findings);
  checkWayOut(patient, findings);
  checkGatewayHosts(patient, findings);
  await checkHealth(patient, findings);
  if (!quick) await checkDrift(patient, findings);
  const checks = findings.all();
  return { at: patient.now(), worst: checks[0]?.state ?? 'ok', checks };
}
