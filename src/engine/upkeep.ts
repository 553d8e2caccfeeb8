/** What those who look after the running controller can ask of it; one recompute and one diagnosis at a time. */
import type { Diagnosis, Recomputation, Upkeep } from '../reconcile/upkeep.ts';
import { diagnose } from './doctor/doctor.ts';
import type { Patient } from './doctor/subjects.ts';
import { recompute } from './recompute.ts';

export function createUpkeep(patient: Patient): Upkeep {
  const inTurn = turns();
  return {
    recompute: (mend): Promise<Recomputation> => inTurn(() => recompute(patient, mend)),
    doctor: (quick): Promise<Diagnosis> => inTurn(() => diagnose(patient, quick)),
  };
}

/** One after another, in the order of the calls; a failure is its caller's alone. */
function turns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
