/** The OpenAPI document, the problem table and docs/problems.md: each held to the others and to what is answered. */
import { readFile } from 'node:fs/promises';
import type { TSchema } from 'typebox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { problemsDocument } from '../../src/api/problems-doc.ts';
import { componentName } from '../../src/api/schemas.ts';
import { definitions, kinds } from '../../src/intent/resources/index.ts';
import { type ProblemCode, problems } from '../../src/problems.ts';
import { validator } from '../../src/validate.ts';
import { everyKind, type Harness, harness } from './support.ts';

type Operation = {
  operationId: string;
  summary: string;
  tags: string[];
  parameters?: { name: string; in: string; required?: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
};
type Document = {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
  tags: { name: string }[];
};

let h: Harness;
let document: Document;
let operations: { path: string; method: string; operation: Operation }[];
const network = 'tenants/acme/networks/shop';

beforeAll(async () => {
  h = await harness();
  const answer = await h.ask(undefined, 'GET', '/openapi.json');
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  document = answer.body;
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
});
afterAll(() => h.close());

function everywhere(value: unknown, visit: (object: Record<string, unknown>, at: string) => void, at = '#'): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Record<string, unknown>, at);
  for (const [name, member] of Object.entries(value)) everywhere(member, visit, `${at}/${name}`);
}

function resolve(pointer: string): unknown {
  let value: unknown = document;
  for (const step of pointer.split('/').slice(1)) value = (value as Record<string, unknown> | undefined)?.[step];
  return value;
}

describe('the document', () => {
  test('is OpenAPI 3.1 with every part an operation must have', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({ title: 'Keyway', version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    const tags = new Set(document.tags.map(({ name }) => name));
    for (const { path, method, operation } of operations) {
      const at = `${method} ${path}`;
      expect(['get', 'put', 'post', 'delete'], at).toContain(method);
      expect(operation.operationId, at).toMatch(/^[a-z][A-Za-z]+$/);
      expect(operation.summary, at).toBeTruthy();
      expect(
        operation.tags.every((tag) => tags.has(tag)),
        at,
      ).toBe(true);
      expect(Object.keys(operation.responses).filter((status) => /^[123]/.test(status)).length, at).toBeGreaterThan(0);
      for (const [status, response] of Object.entries(operation.responses)) {
        expect(status, at).toMatch(/^([1-5]\d\d|default)$/);
        expect(response.description, `${at} ${status}`).toBeTruthy();
        expect(response.description, `${at} ${status}`).not.toBe('Default Response');
      }
    }
  });

  test('has one operationId for each operation', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('declares the parameters of each path, and no others in it', () => {
    for (const { path, method, operation } of operations) {
      const named = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name).sort();
      const declared = (operation.parameters ?? []).filter((p) => p.in === 'path');
      expect(declared.map(({ name }) => name).sort(), `${method} ${path}`).toEqual(named);
      expect(
        declared.every(({ required }) => required === true),
        `${method} ${path}`,
      ).toBe(true);
      const keys = (operation.parameters ?? []).map((p) => `${p.in} ${p.name}`);
      expect(new Set(keys).size, `${method} ${path}`).toBe(keys.length);
    }
  });

  test('refers to components that are there, and to every one of them', () => {
    const referred = new Set<string>();
    everywhere(document, (object, at) => {
      if (typeof object.$ref !== 'string') return;
      referred.add(object.$ref);
      expect(resolve(object.$ref), `${object.$ref} at ${at}`).toBeDefined();
    });
    const components = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect(components.filter((pointer) => !referred.has(pointer))).toEqual([]);
    expect(referred.size).toBeGreaterThan(20);
  });

  test('speaks JSON Schema 2020-12: nothing of OpenAPI 3.0 is left', () => {
    const types = ['string', 'integer', 'number', 'boolean', 'object', 'array', 'null'];
    everywhere(document.components.schemas, (object, at) => {
      // Members may be called anything; only schemas are judged.
      if (/\/properties$/.test(at)) return;
      expect(object, at).not.toHaveProperty('nullable');
      expect(object, at).not.toHaveProperty('$id');
      if (typeof object.type === 'string') expect(types, at).toContain(object.type);
      if ('required' in object) expect(Array.isArray(object.required), at).toBe(true);
    });
  });

  test('has every route there is', () => {
    const routes = new Set<string>();
    const above: string[] = [];
    for (const line of h.app.printRoutes({ commonPrefix: false }).split('\n')) {
      const found = /^([│ ]*)[├└]── (\S+) \(([A-Z, ]+)\)$/.exec(line);
      if (!found) continue;
      const depth = found[1]!.length / 4;
      above.length = depth;
      above.push(found[2]!);
      const path = above.join('').replace(/:(\w+)/g, '{$1}');
      if (path.startsWith('/docs')) continue;
      for (const method of found[3]!.split(', ')) if (method !== 'HEAD') routes.add(`${method.toLowerCase()} ${path}`);
    }
    expect(routes.size).toBeGreaterThan(40);
    expect(new Set(operations.map(({ path, method }) => `${method} ${path}`))).toEqual(routes);
  });

  test('has four operations for each kind', () => {
    for (const kind of kinds) {
      const own = operations.filter(
        ({ path, operation }) =>
          operation.tags.includes(definitions[kind].segment) && !/flows|drift|interfaces|usage/.test(path),
      );
      expect(own.map(({ method }) => method).sort(), kind).toEqual(['delete', 'get', 'get', 'put']);
    }
  });

  test('is shown at /docs, with nothing from elsewhere', async () => {
    const page = await h.ask(undefined, 'GET', '/docs');
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    const sources = Array.from(page.text.matchAll(/(?:src|href)="([^"]+)"/g), ([, source]) => source!);
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources) {
      expect(source).toMatch(/^\/docs\//);
      expect((await h.ask(undefined, 'GET', source)).status, source).toBe(200);
    }
  });
});

describe('problems', () => {
  /** Not answered by any one route: of any path, of the process's start, or of parts still to come. */
  const elsewhere: ProblemCode[] = ['method.not-allowed', 'internal', 'store.too-new'];

  test('of the table are documented by the routes that answer with them, under their status', () => {
    const documented = new Set<string>();
    for (const { path, method, operation } of operations)
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        if (status === 'default' || Number(status) < 400) continue;
        const schema = content?.['application/problem+json']?.schema;
        expect(schema, `${method} ${path} ${status}`).toEqual({ $ref: '#/components/schemas/Problem' });
        const codes = Array.from(description.matchAll(/`([^`]+)`/g), ([, code]) => code as ProblemCode);
        expect(codes.length, `${method} ${path} ${status}`).toBeGreaterThan(0);
        for (const code of codes) {
          expect(problems[code]?.status, `${code} at ${method} ${path}`).toBe(Number(status));
          documented.add(code);
        }
      }
    const missing = Object.keys(problems).filter((code) => !documented.has(code));
    expect(missing.sort()).toEqual(elsewhere.toSorted());
  });

  test('of every route under /v1 begin with who asks', () => {
    for (const { path, method, operation } of operations) {
      if (!path.startsWith('/v1/')) continue;
      expect(Object.keys(operation.responses), `${method} ${path}`).toEqual(
        expect.arrayContaining(['401', '403', 'default']),
      );
      if (operation.requestBody)
        expect(Object.keys(operation.responses), `${method} ${path}`).toEqual(
          expect.arrayContaining(['400', '413', '415']),
        );
    }
  });

  test('are the ones of the component', () => {
    const { code } = (document.components.schemas.Problem as { properties: { code: { enum: string[] } } }).properties;
    expect(code.enum).toEqual(Object.keys(problems));
  });

  test('are in docs/problems.md, which is up to date', async () => {
    const text = await readFile(new URL('../../docs/problems.md', import.meta.url), 'utf8');
    expect(text, 'run npm run docs').toBe(problemsDocument());
    for (const [code, { status, title }] of Object.entries(problems))
      expect(text).toContain(`| \`${code}\` | ${status} | ${title} |`);
  });
});

describe('answers', () => {
  /** The schema with components in place of references, and no members allowed beside those it names. */
  function closed(schema: unknown): TSchema {
    const walk = (value: unknown, inSchema: boolean): unknown => {
      if (Array.isArray(value)) return value.map((element) => walk(element, true));
      if (typeof value !== 'object' || value === null) return value;
      const object = value as Record<string, unknown>;
      if (typeof object.$ref === 'string') return walk(resolve(object.$ref), true);
      const copy: Record<string, unknown> = {};
      for (const [name, member] of Object.entries(object)) copy[name] = walk(member, name !== 'properties');
      if (
        inSchema &&
        copy.properties &&
        Object.keys(copy.properties).length > 0 &&
        copy.additionalProperties === undefined
      )
        copy.additionalProperties = false;
      return copy;
    };
    return walk(schema, true) as TSchema;
  }

  function responseOf(operationId: string, status: number): TSchema {
    const found = operations.find(({ operation }) => operation.operationId === operationId)!;
    const { content } = found.operation.responses[status]!;
    return closed(Object.values(content!)[0]!.schema);
  }

  beforeAll(async () => {
    await h.ask('admin', 'POST', 'apply', { resources: everyKind('acme') });
    await h.ask('admin', 'PUT', 'hypervisors/hv1', { admission: 'approved' });
    h.fleet.add('hv1', { connected: false });
    const facts = {
      hostname: 'h',
      peer: 'tcp:127.0.0.1',
      ovsVersion: '3.1.0',
      encapIp: '192.0.2.1',
      datapathType: 'system',
    };
    h.fleet.waiting.push(
      { name: 'hv1', facts: { ...facts, systemId: 'hv1', bridgeMappings: { physnet1: 'br-ex' } } },
      { name: 'hv2', facts: { ...facts, systemId: 'hv2', bridgeMappings: {} } },
    );
    h.fleet.bindings.set(`${network}/ports/web1`, { hypervisor: 'hv1', interface: 'vif1', ofport: 7, zone: 3 });
    h.fleet.installed.push({
      flow: { table: 1, priority: 2, cookie: 3n, match: {}, actions: [] },
      text: 'drop',
      tableName: 'one',
      purpose: { stage: 'one', path: network, text: 'network shop' },
      stats: { packets: 1n, bytes: 2n, duration: 0.5 },
    });
  });

  const reads: [operationId: string, method: string, path: string, status?: number, body?: object][] = [
    ...['offerings/gold', 'hypervisors/hv1', 'hypervisors/hv2', 'tenants/acme', network].map(
      (path): [string, string, string] => [
        `get${{ offerings: 'Offering', hypervisors: 'Hypervisor', tenants: path.includes('/networks') ? 'Network' : 'Tenant' }[path.split('/')[0]!]}`,
        'GET',
        path,
      ],
    ),
    ['getTier', 'GET', `${network}/tiers/web`],
    ['getTier', 'GET', `${network}/tiers/db`],
    ['getPort', 'GET', `${network}/ports/web1`],
    ['getGroup', 'GET', `${network}/groups/databases`],
    ['getRule', 'GET', `${network}/rules/web-to-db`],
    ['getRoute', 'GET', `${network}/routes/branch`],
    ['getSteering', 'GET', `${network}/steering/inspected`],
    ['getPeering', 'GET', 'tenants/acme/peerings/shop-office'],
    ['getPolicy', 'GET', 'policies/no-telnet'],
    ['listOfferings', 'GET', 'offerings'],
    ['listHypervisors', 'GET', 'hypervisors'],
    ['listPorts', 'GET', `${network}/ports?limit=1`],
    ['putTenant', 'PUT', 'tenants/other', 201, {}],
    [
      'apply',
      'POST',
      'apply',
      200,
      { resources: [{ path: 'tenants/acme', spec: { description: 'x' } }], dryRun: true },
    ],
    ['listFlows', 'GET', 'hypervisors/hv1/flows?which=desired'],
    ['explainFlow', 'GET', 'explain?cookie=0x3'],
    ['findPorts', 'GET', 'where?q=10.0.1.10'],
    ['followEvents', 'GET', 'events?since=0'],
    ['createToken', 'POST', 'tokens', 201, { role: 'operator', ttl: '1h' }],
    ['listTokens', 'GET', 'tokens'],
    ['listAudit', 'GET', 'audit'],
    ['checkRecompute', 'GET', 'recompute'],
    ['recompute', 'POST', 'recompute'],
    ['diagnose', 'GET', 'doctor?quick=true'],
    ['compact', 'POST', 'compact?changes=1000'],
    ['getHealth', 'GET', '/healthz'],
    ['getReadiness', 'GET', '/readyz'],
  ];

  test.each(reads)(
    'of %s (%s %s) are as documented, with no member beside',
    async (operationId, method, path, status = 200, body = undefined) => {
      for (const who of ['admin', 'acme'] as const) {
        const answer = await h.ask(who, method, path, body);
        if (who === 'acme' && answer.status === 403) continue;
        if (who === 'acme' && method !== 'GET') continue;
        expect(answer.status, answer.text).toBe(status);
        expect(validator(responseOf(operationId, status))(answer.body)).toEqual([]);
      }
    },
  );

  test('that are problems are as documented', async () => {
    const validate = validator(closed({ $ref: '#/components/schemas/Problem' }));
    for (const [method, path] of [
      ['GET', 'tenants/none'],
      ['GET', 'planets'],
      ['POST', 'tenants/acme'],
    ] as const)
      expect(validate((await h.ask('admin', method, path)).body)).toEqual([]);
  });

  test('of every kind fit what its examples ask for', () => {
    for (const kind of kinds) {
      const name = componentName(kind);
      const validate = validator(closed({ $ref: `#/components/schemas/${name}Body` }));
      for (const { spec } of definitions[kind].examples) expect(validate(spec), kind).toEqual([]);
      expect(validate({ colour: 'red' }).length, kind).toBeGreaterThan(0);
    }
  });
});
