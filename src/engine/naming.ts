/** Whom a line of the log is about: `object` is its path, `revision` that of its last change. */
import type { HypervisorNumber, Naming } from '../drivers/switch-plugin.ts';
import type { Path, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';

export function namingOf(view: View, fleet: Fleet): Naming {
  return {
    hypervisor(hypervisor) {
      const resource = fleet.get(hypervisor)?.resource;
      return resource && { name: resource.name, path: resource.path, revision: resource.revision };
    },
    resource(number) {
      const resource = view.byNumber(number);
      return resource && { path: resource.path, revision: resource.revision };
    },
  };
}

/** Fields of a line about a hypervisor. */
export function hypervisorFields(fleet: Fleet, hypervisor: HypervisorNumber): object {
  const resource = fleet.get(hypervisor)?.resource;
  return { hypervisor: fleet.name(hypervisor), object: resource?.path, revision: resource?.revision };
}

/** Fields of a line about a resource; none where it is the pipeline itself, or no longer in intent. */
export function objectFields(view: View, path: Path | undefined): object {
  return path === undefined ? {} : { object: path, revision: view.get(path)?.revision };
}
