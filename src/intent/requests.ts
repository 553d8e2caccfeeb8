/**
 * Reads the operations of a transaction: each against its schema and its own meaning, and merged with what it replaces.
 * What needs a look at other resources comes after, in stage.ts.
 */
import { Problem, type ProblemCode } from '../problems.ts';
import { escapePointer, type Validator, validator } from '../validate.ts';
import type { Concern, Report } from './checks/concern.ts';
import { concerns } from './checks/index.ts';
import type { Errors } from './errors.ts';
import { Labels } from './fields.ts';
import type { Path, Resource } from './model.ts';
import { type ParsedPath, parsePath } from './path.ts';
import { definitions, type Kind, kinds } from './resources/index.ts';
import { copyJson, equalJson, type SpecOfKind } from './spec.ts';
import { isHidden } from './transit.ts';

export type Operation =
  | {
      op: 'put';
      path: Path;
      /** What is asked for; read-only members of an answer (uid, revision, status, …) are ignored. */
      spec: Record<string, unknown>;
      labels?: Record<string, string>;
      /** Revision the caller has read (If-Match): another one is refused. */
      ifRevision?: number;
      /** Only if there is none yet (If-None-Match: *). */
      createOnly?: boolean;
    }
  | { op: 'delete'; path: Path; ifRevision?: number };

type Place = Pick<ParsedPath, 'kind' | 'path' | 'name' | 'parent'>;

/** A put that changes something. The spec is not filled yet. */
export type PutRequest = Place & {
  op: 'put';
  before: Resource | undefined;
  spec: SpecOfKind<Kind>;
  labels: Record<string, string>;
  /** JSON pointer of the resource in the request. */
  at: string;
  /** JSON pointer of its spec in the request. */
  specAt: string;
};

export type DeleteRequest = Place & { op: 'delete'; before: Resource; at: string };

/** A put of what is there already. */
export type NoRequest = Place & { op: 'none'; before: Resource };

export type Request = PutRequest | DeleteRequest | NoRequest;

export type Reading = {
  get(path: Path): Resource | undefined;
  /** Many resources in one request, each with a spec of its own; else the body is the spec. */
  many: boolean;
  /** The caller may set what tenants do not see. */
  restrictedAllowed: boolean;
  errors: Errors;
};

/** Members of answers that a PUT ignores. */
const readOnly = Object.fromEntries(
  kinds.map((kind) => {
    const { extra, spec } = definitions[kind];
    const members = ['uid', 'revision', 'status', ...Object.keys(extra?.properties ?? {})];
    return [kind, members.filter((member) => !Object.hasOwn(spec.properties, member))];
  }),
) as Record<Kind, string[]>;

const validators = new Map<Kind, Validator>();
let labelsValidator: Validator | undefined;

function specValidator(kind: Kind): Validator {
  let found = validators.get(kind);
  if (found === undefined) {
    found = validator(definitions[kind].spec);
    validators.set(kind, found);
  }
  return found;
}

/** @returns undefined after telling what is wrong with the operation */
export function readOperation(operation: Operation, index: number, reading: Reading): Request | undefined {
  const at = reading.many ? `/resources/${index}` : '';
  const before = reading.get(operation.path);
  // A path that is there needs no reading.
  const parsed = before ?? parsePath(operation.path);
  if (parsed instanceof Problem) {
    reading.errors.add(at, parsed.code, parsed.detail);
    return undefined;
  }
  const report = (field: string, code: ProblemCode, message: string) => reading.errors.add(at + field, code, message);
  return operation.op === 'put'
    ? readPut(operation, parsed, before, at, reading)
    : readDelete(operation, parsed, before, at, reading.restrictedAllowed, report);
}

function readDelete(
  operation: Operation,
  { kind, path, name, parent }: Place,
  before: Resource | undefined,
  at: string,
  restrictedAllowed: boolean,
  report: Report,
): DeleteRequest | undefined {
  if (before === undefined || (!restrictedAllowed && isHidden(before))) {
    report('', 'resource.not-found', `There is no ${path}`);
    return undefined;
  }
  return isCurrent(operation, before, report) ? { kind, path, name, parent, op: 'delete', before, at } : undefined;
}

function readPut(
  operation: Operation & { op: 'put' },
  { kind, path, name, parent }: Place,
  before: Resource | undefined,
  at: string,
  reading: Reading,
): PutRequest | NoRequest | undefined {
  const specAt = reading.many ? `${at}/spec` : at;
  let sound = true;
  const tell =
    (where: string): Report =>
    (field, code, message) => {
      sound = false;
      reading.errors.add(where + field, code, message);
    };
  const report = tell(specAt);
  if (before !== undefined && !reading.restrictedAllowed && isHidden(before)) {
    reading.errors.add(at, 'auth.forbidden', `The name ${name} is kept by the operator`);
    return undefined;
  }
  if (operation.createOnly === true && before !== undefined) tell(at)('', 'resource.exists', `${path} exists already`);
  isCurrent(operation, before, tell(at));

  const asked = withoutReadOnly(kind, name, operation.spec, report);
  labelsValidator ??= validator(Labels);
  const labels = operation.labels === undefined ? {} : operation.labels;
  for (const error of [...specValidator(kind)(asked, specAt), ...labelsValidator(labels, `${at}/labels`)]) {
    sound = false;
    reading.errors.addInvalid(error);
  }
  // Meaning is judged of what has the right form only.
  if (!sound) return undefined;

  const spec = copyJson(asked);
  keepOrRefuse(kind, spec, before, reading.restrictedAllowed, report);
  for (const concern of concerns[kind] as readonly Concern<Kind>[]) concern.normalise?.(spec as SpecOfKind<Kind>, name);
  if (before !== undefined) refuseChanges(kind, spec, before, report);
  for (const concern of concerns[kind]) concern.judge?.(spec as SpecOfKind<Kind>, report);
  if (!sound) return undefined;
  if (before !== undefined && equalJson(spec, before.spec) && equalJson(labels, before.labels))
    return { kind, path, name, parent, op: 'none', before };
  const request = { spec: spec as SpecOfKind<Kind>, labels: copyJson(labels), at, specAt };
  return { kind, path, name, parent, op: 'put', before, ...request };
}

function isCurrent(operation: Operation, before: Resource | undefined, report: Report): boolean {
  const { ifRevision, path } = operation;
  // What is staged and not durable has revision 0: nobody can have read it.
  if (ifRevision === undefined || (ifRevision > 0 && before?.revision === ifRevision)) return true;
  const now = before === undefined ? 'it is gone' : `it has revision ${before.revision} now`;
  report('', 'resource.changed', `${path} was read at revision ${ifRevision}; ${now}`);
  return false;
}

/** What was read can be put back: members that are the server's are passed over, and so is the name that the path has. */
function withoutReadOnly(
  kind: Kind,
  name: string,
  spec: Record<string, unknown>,
  report: Report,
): Record<string, unknown> {
  // What is no object at all is the validator's to tell.
  if (!isObject(spec)) return spec;
  const passed = readOnly[kind].filter((member) => Object.hasOwn(spec, member));
  if (Object.hasOwn(spec, 'name')) {
    if (spec.name !== name) report('/name', 'request.invalid', `The path names it ${name}; a name does not change`);
    passed.push('name');
  }
  if (passed.length === 0) return spec;
  const asked = { ...spec };
  for (const member of passed) delete asked[member];
  return asked;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What was left out keeps its value where the server filled it, or where the caller cannot see it. */
function keepOrRefuse(
  kind: Kind,
  spec: Record<string, unknown>,
  before: Resource | undefined,
  restrictedAllowed: boolean,
  report: Report,
): void {
  const { serverFilled = [], restricted = [], spec: schema } = definitions[kind];
  const kept = before?.spec as Readonly<Record<string, unknown>> | undefined;
  if (!restrictedAllowed)
    for (const member of restricted) {
      if (!Object.hasOwn(schema.properties, member)) continue;
      if (spec[member] !== undefined)
        report(`/${escapePointer(member)}`, 'auth.forbidden', `${member} is set by admin or orchestrator only`);
      else if (kept?.[member] !== undefined) spec[member] = kept[member];
    }
  for (const member of serverFilled)
    if (spec[member] === undefined && kept?.[member] !== undefined) spec[member] = kept[member];
}

/** What never changes, and was to be changed, is judged as it was: the rest is to be told for itself. */
function refuseChanges(kind: Kind, spec: Record<string, unknown>, before: Resource, report: Report): void {
  const now = before.spec as Readonly<Record<string, unknown>>;
  const { immutable = [], fixedOnceSet = [] } = definitions[kind];
  for (const member of [...immutable, ...fixedOnceSet.filter((one) => now[one] !== undefined)]) {
    if (equalJson(spec[member], now[member])) continue;
    const message = `${member} is ${JSON.stringify(now[member])} and stays so: delete the ${kind} and create it anew`;
    report(`/${escapePointer(member)}`, 'resource.immutable', message);
    spec[member] = now[member];
  }
}
