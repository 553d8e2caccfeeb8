/** The body a resource is answered with. Status, and what inventory knows, are added by the API. */
import type { Resource } from './model.ts';
import { definitions } from './resources/index.ts';

export type Presented = {
  name: string;
  labels: Readonly<Record<string, string>>;
  uid: string;
  revision: number;
  [member: string]: unknown;
};

/** @param options.restricted the reader may see what tenants do not */
export function present(resource: Resource, { restricted }: { restricted: boolean }): Presented {
  const { spec: schema, restricted: hidden = [] } = definitions[resource.kind];
  const { name, labels, uid, revision } = resource;
  const spec = resource.spec as Readonly<Record<string, unknown>>;
  const body: Record<string, unknown> = { name };
  const show = (member: string, value: unknown) => {
    if (value !== undefined && (restricted || !hidden.includes(member))) body[member] = value;
  };
  // In the order of the schema, however the caller wrote it.
  for (const member of Object.keys(schema.properties)) show(member, spec[member]);
  for (const [member, value] of Object.entries(numbersOf(resource))) show(member, value);
  return { ...body, name, labels, uid, revision };
}

/** Numbers that reach the wire, under their names in the contract. */
function numbersOf(resource: Resource): Record<string, number> {
  if (resource.kind === 'tenant') return { key: resource.id };
  if (resource.kind === 'hypervisor') return { number: resource.id };
  return {};
}
