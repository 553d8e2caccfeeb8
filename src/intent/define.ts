/**
 * What a resource is, once: from this page routes, validation, OpenAPI, CLI verbs, flags, tables, completion, apply
 * and plan derive. To add a resource, write a file in resources/ and name it in resources/index.ts.
 */
import type { Static, TObject } from 'typebox';

/** A field of the spec that names another resource. */
export type Reference = {
  /** JSON pointer into the spec; `*` stands for every element of an array. */
  field: string;
  /** Kind it names. */
  kind: string;
  /** Where the name is looked up: in the same network, in the same tenant, or at the top level. */
  within: 'network' | 'tenant' | 'top';
};

export type Column = {
  title: string;
  /** JSON pointer into the answer. */
  field: string;
  /** Only in `-o wide`. */
  wide?: boolean;
};

export type Example = { name: string; parents: string[]; spec: Record<string, unknown> };

export type ResourceDefinition<Spec extends TObject = TObject> = {
  /** Singular, as the CLI's noun: `tenant`. */
  kind: string;
  /** Path segment of the collection: `tenants`. */
  segment: string;
  /** Kind of the parent, undefined at the top level. */
  parent: string | undefined;
  /** One line for help and OpenAPI. */
  summary: string;
  /** What a caller asks for. additionalProperties is false in every one. */
  spec: Spec;
  /** Members of the answer beside the spec and the common ones; accepted and ignored in a PUT. */
  extra?: TObject;
  /** Members of spec and extra that only admin, operator and orchestrator see, and only admin and orchestrator set. */
  restricted?: readonly string[];
  /** Members of the spec whose every change the audit tells in full: they loosen what guards others. */
  audited?: readonly string[];
  /** Members of the spec the server fills when left out, and keeps when a replacement leaves them out. */
  serverFilled?: readonly string[];
  /** Server-filled members that follow from another one, and are missing where that one is. */
  filledWith?: Readonly<Record<string, string>>;
  /** Members of the spec that never change after creation. */
  immutable?: readonly string[];
  /** Members of the spec that may be added later, and from then on never change. */
  fixedOnceSet?: readonly string[];
  references?: readonly Reference[];
  /** Who may write beside the admin; reading follows the tenant in the path. */
  writers: readonly ('operator' | 'orchestrator' | 'tenant')[];
  /** Whether tenants may read it at all (offerings yes, hypervisors no). */
  tenantReads: boolean;
  columns: readonly Column[];
  examples: readonly Example[];
};

export function defineResource<const Spec extends TObject>(
  definition: ResourceDefinition<Spec>,
): ResourceDefinition<Spec> {
  return definition;
}

export type SpecOf<D extends { spec: TObject }> = Static<D['spec']>;
