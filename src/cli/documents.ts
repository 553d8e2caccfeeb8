/** Files of resources for `apply` and `plan`: YAML of several documents, or JSON; and where in them something stands. */
import type { Document, LineCounter } from 'yaml';
import { UsageError } from './errors.ts';
import { findKind, type KindModel, kindModel, model } from './model.ts';
import { type Defaults, parsePath, pathOf, resolve } from './names.ts';
import { didYouMean } from './suggest.ts';

/** One resource of a file, as `POST /v1/apply` takes it. */
export type Entry = {
  resource: { path: string; kind: string; spec?: Record<string, unknown>; labels?: unknown; delete?: boolean };
  /** `file:line:column (document 2)` of a JSON pointer into the resource. */
  place(pointer: string): Promise<string>;
};

/** What finds a JSON pointer in the text of a document. */
type Locator = (pointer: string) => Promise<string>;

type Raw = { value: unknown; locate: Locator };

type Yaml = typeof import('yaml');

function steps(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Place of the deepest part of the pointer that exists. */
function placeIn(
  yaml: Yaml,
  document: Document,
  lines: LineCounter,
  file: string,
  number: number,
  count: number,
  pointer: string,
): string {
  let node: unknown = document.contents;
  for (const step of steps(pointer)) {
    let next: unknown;
    if (yaml.isMap(node)) {
      const pair = node.items.find((one) => yaml.isScalar(one.key) && String(one.key.value) === step);
      next = pair?.value ?? pair?.key;
    } else if (yaml.isSeq(node)) next = node.items[Number(step)];
    if (yaml.isAlias(next)) next = next.resolve(document) ?? next;
    if (next === undefined || next === null) break;
    node = next;
  }
  const offset = yaml.isNode(node) ? (node.range?.[0] ?? 0) : 0;
  const { line, col } = lines.linePos(offset);
  return `${file}:${line}:${col}${count > 1 ? ` (document ${number})` : ''}`;
}

async function parseYaml(text: string, file: string): Promise<Raw[]> {
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  const parsed = yaml.parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const documents = (Array.isArray(parsed) ? parsed : []) as Document[];
  const faults = documents.flatMap((document, i) =>
    // An unknown tag is only a warning to the parser, but what it yields is not what was meant.
    [...document.errors, ...document.warnings].map((fault) => {
      const { line, col } = lines.linePos(fault.pos[0]);
      return `${file}:${line}:${col}${documents.length > 1 ? ` (document ${i + 1})` : ''}: ${fault.message}`;
    }),
  );
  if (faults.length > 0) throw new UsageError(`${file} is not valid YAML`, 'Mend the places named.', faults);
  return documents
    .map((document, i): Raw => {
      const locate: Locator = async (pointer) => placeIn(yaml, document, lines, file, i + 1, documents.length, pointer);
      try {
        return { value: document.toJS(), locate };
      } catch (error) {
        // Aliases that name nothing or multiply beyond measure.
        throw new UsageError(`${file}: ${(error as Error).message}`);
      }
    })
    .filter(({ value }) => value !== null && value !== undefined);
}

/** JSON is read as such, quicker by far; only the place of a fault is found by the YAML parser, which reads JSON too. */
function parseJson(text: string, file: string): Raw[] | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Perhaps YAML in flow style; if not, the YAML parser says where it goes wrong.
    return undefined;
  }
  let located: Promise<Raw[]> | undefined;
  return [
    {
      value,
      locate: async (pointer) => {
        located ??= parseYaml(text, file);
        return (await located)[0]?.locate(pointer) ?? file;
      },
    },
  ];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const readOnly = ['uid', 'revision', 'status', 'createdAt'];

/** Members of an entry that are not part of a spec written flat. */
function ownMembers(kind: KindModel): Set<string> {
  return new Set(['path', 'kind', 'name', 'spec', 'labels', 'delete', ...kind.parents, ...readOnly, ...kind.extra]);
}

function kindOf(value: Record<string, unknown>): KindModel {
  const { kind, path } = value;
  const named = typeof kind === 'string' ? findKind(kind.toLowerCase()) : undefined;
  if (kind !== undefined && !named) {
    const names = model.kinds.map((one) => one.kind);
    throw new UsageError(
      `kind ${JSON.stringify(kind)} is none of ${names.join(', ')}.${didYouMean(String(kind), names)}`,
    );
  }
  const target = typeof path === 'string' ? parsePath(path) : undefined;
  if (named && target && target.kind.kind !== named.kind) {
    throw new UsageError(`path ${path} is a ${target.kind.kind}, kind says ${named.kind}`);
  }
  const found = target?.kind ?? named;
  if (!found) {
    throw new UsageError(
      path === undefined
        ? 'a resource needs a path, or a kind and a name'
        : `path ${JSON.stringify(path)} is not a path such as tenants/acme/networks/shop; a short one needs a kind beside it`,
    );
  }
  return found;
}

function namesOf(value: Record<string, unknown>, kind: KindModel, defaults: Defaults): string[] {
  const written = value.path ?? value.name;
  if (typeof written !== 'string')
    throw new UsageError(`${value.path === undefined ? 'name' : 'path'} is missing or not a text`);
  const given = (parent: string) => {
    const name = value[parent];
    if (name !== undefined && typeof name !== 'string') throw new UsageError(`${parent} is not a text`);
    return name;
  };
  const { names } = resolve(kind, written, given, defaults);
  if (value.path !== undefined && value.name !== undefined && value.name !== names.at(-1)) {
    throw new UsageError(`path ${written} and name ${value.name} differ`);
  }
  return names;
}

function entryOf(value: unknown, locate: Locator, base: string, defaults: Defaults): Entry {
  if (!isObject(value)) throw new UsageError('a resource is a mapping');
  const kind = kindOf(value);
  const path = pathOf(kind, namesOf(value, kind, defaults));
  const resource: Entry['resource'] = { path, kind: kind.kind };
  const own = ownMembers(kind);
  const flat = value.spec === undefined;
  if (value.delete !== undefined && typeof value.delete !== 'boolean') throw new UsageError('delete is true or false');
  if (value.delete === true) resource.delete = true;
  if (flat) {
    // What was read and is marked for deletion says no more than its path.
    const members = Object.entries(value).filter(([name]) => !own.has(name));
    if (!resource.delete) resource.spec = Object.fromEntries(members);
  } else {
    const stray = Object.keys(value).find((name) => !own.has(name));
    if (stray !== undefined) throw new UsageError(`${stray} stands beside spec; write it inside`);
    resource.spec = value.spec as Record<string, unknown>;
  }
  if (value.labels !== undefined && !resource.delete) resource.labels = value.labels;
  return {
    resource,
    place: (pointer) => locate(base + (flat ? pointer.replace(/^\/spec(?=\/|$)/, '') : pointer)),
  };
}

/** Entries of a document: a list, `resources:`, the `items:` of a list that was printed, or one resource. */
function parts(raw: Raw): { value: unknown; base: string }[] {
  const { value } = raw;
  if (Array.isArray(value)) return value.map((one, i) => ({ value: one, base: `/${i}` }));
  if (!isObject(value)) return [{ value, base: '' }];
  for (const member of ['resources', 'items']) {
    const list = value[member];
    if (Array.isArray(list) && value.kind === undefined && value.path === undefined) {
      const stray = Object.keys(value).find((name) => name !== member && !['revision', 'next'].includes(name));
      if (stray !== undefined) throw new UsageError(`${stray} stands beside ${member}, where it means nothing`);
      return list.map((one, i) => ({ value: one, base: `/${member}/${i}` }));
    }
  }
  return [{ value, base: '' }];
}

/** All resources of a file's text. @throws UsageError naming file, line and document of every fault. */
export async function entriesOf(text: string, file: string, defaults: Defaults): Promise<Entry[]> {
  const entries: Entry[] = [];
  const faults: string[] = [];
  const fault = async (error: unknown, locate: Locator, base: string) => {
    if (!(error instanceof UsageError)) throw error;
    faults.push(`${await locate(base)}: ${error.message}${error.advice ? `. ${error.advice}` : ''}`);
  };
  for (const raw of parseJson(text, file) ?? (await parseYaml(text, file))) {
    let all: { value: unknown; base: string }[] = [];
    try {
      all = parts(raw);
    } catch (error) {
      await fault(error, raw.locate, '');
    }
    for (const { value, base } of all) {
      try {
        entries.push(entryOf(value, raw.locate, base, defaults));
      } catch (error) {
        await fault(error, raw.locate, base);
      }
    }
  }
  if (faults.length > 0) {
    const example = kindModel(model.kinds.at(-1)!.kind).examples[0]!;
    const kind = model.kinds.at(-1)!;
    const shown = `{path: ${pathOf(kind, [...example.parents, example.name])}, spec: {…}}`;
    throw new UsageError(`${file} has resources that cannot be read`, `A resource is written as ${shown}`, faults);
  }
  return entries;
}
