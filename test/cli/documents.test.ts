import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { entriesOf } from '../../src/cli/documents.ts';
import { UsageError } from '../../src/cli/errors.ts';
import { definitions, kinds } from '../../src/intent/resources/index.ts';

const none = new Map<string, string>();
const read = async (text: string, defaults = none) => entriesOf(text, 'intent.yaml', defaults);

async function faults(text: string): Promise<string[]> {
  try {
    await read(text);
  } catch (error) {
    if (error instanceof UsageError) return [...error.details];
    throw error;
  }
  throw new Error('the text was taken');
}

const shop = { path: 'tenants/acme/networks/shop', kind: 'network', spec: { offering: 'basic', cidr: '10.0.0.0/16' } };

test.each([
  ['path and spec', `path: tenants/acme/networks/shop\nspec: {offering: basic, cidr: 10.0.0.0/16}\n`],
  ['kind and a short path', `kind: network\npath: acme/shop\nspec: {offering: basic, cidr: 10.0.0.0/16}\n`],
  ['kind and names', `kind: Network\ntenant: acme\nname: shop\nspec: {offering: basic, cidr: 10.0.0.0/16}\n`],
  [
    'flat, as it is printed',
    `path: tenants/acme/networks/shop\nname: shop\nuid: u\nrevision: 7\nstatus: {state: pending}\noffering: basic\ncidr: 10.0.0.0/16\n`,
  ],
  ['resources', `resources:\n  - {path: tenants/acme/networks/shop, spec: {offering: basic, cidr: 10.0.0.0/16}}\n`],
  [
    'items of a list',
    `items:\n  - {path: tenants/acme/networks/shop, offering: basic, cidr: 10.0.0.0/16}\nrevision: 9\n`,
  ],
  ['a sequence', `- {path: tenants/acme/networks/shop, spec: {offering: basic, cidr: 10.0.0.0/16}}\n`],
  ['JSON', JSON.stringify({ resources: [shop] })],
  ['two documents, one empty', `---\n# nothing\n---\n${stringify(shop)}`],
])('%s', async (_, text) => {
  expect((await read(text)).map(({ resource }) => resource)).toEqual([shop]);
});

test('parents that are not written come from the defaults', async () => {
  const [entry] = await read(
    'kind: network\nname: shop\noffering: basic\ncidr: 10.0.0.0/16\n',
    new Map([['tenant', 'acme']]),
  );
  expect(entry!.resource).toEqual(shop);
});

test('every example of every kind, flat and with spec, gives the same', async () => {
  for (const kind of kinds) {
    for (const { name, parents, spec } of definitions[kind].examples) {
      const place = { kind, path: [...parents, name].join('/'), labels: { a: 'b' } };
      const [nested, flat] = await read(`${stringify({ ...place, spec })}---\n${stringify({ ...place, ...spec })}`);
      expect(flat!.resource).toEqual(nested!.resource);
      expect(flat!.resource).toMatchObject({ kind, spec, labels: { a: 'b' } });
    }
  }
});

test('deletion needs no spec, and what was read says no more than its path', async () => {
  const [read1] = await read(`${stringify({ ...shop, spec: undefined, offering: 'basic', labels: {}, delete: true })}`);
  expect(read1!.resource).toEqual({ path: shop.path, kind: 'network', delete: true });
  const [kept] = await read(`${stringify({ ...shop, delete: false })}`);
  expect(kept!.resource).toEqual(shop);
  const [entry] = await read('path: tenants/acme\ndelete: true\n');
  expect(entry!.resource).toEqual({ path: 'tenants/acme', kind: 'tenant', delete: true });
});

const two = `path: tenants/acme
spec: {}
---
resources:
  - path: tenants/acme/networks/shop
    labels:
      stage: 5
    spec:
      offering: basic
      cidr: 10.0.0.1/16
  - kind: port
    name: web1
    tenant: acme
    network: shop
    tier: web
    ips:
      - 10.0.1.10
      - 10.0.1.300
`;

test.each([
  [1, '/spec/cidr', 'intent.yaml:10:13 (document 2)'],
  [1, '/spec/offering', 'intent.yaml:9:17 (document 2)'],
  [1, '/labels/stage', 'intent.yaml:7:14 (document 2)'],
  [1, '/spec/missing', 'intent.yaml:9:7 (document 2)'],
  [1, '', 'intent.yaml:5:5 (document 2)'],
  [2, '/spec/ips/1', 'intent.yaml:18:9 (document 2)'],
  [2, '/spec/tier', 'intent.yaml:15:11 (document 2)'],
  [0, '/spec', 'intent.yaml:2:7 (document 1)'],
])('resource %i %s stands at %s', async (index, pointer, place) => {
  const entries = await read(two);
  expect(await entries[index]!.place(pointer)).toBe(place);
});

test('places in JSON are found too', async () => {
  const [entry] = await read(`{"resources": [\n  {"path": "tenants/acme",\n   "spec": {"description": 5}}\n]}`);
  expect(await entry!.place('/spec/description')).toBe('intent.yaml:3:28');
});

test.each([
  ['a: b: c\n', /intent\.yaml:1:\d+: /],
  ['a: [1,\n', /intent\.yaml:2:1: /],
  ['path: tenants/acme\nspec: {}\n---\n"open\n', /intent\.yaml:5:\d+ \(document 2\)/],
  ['path: x\npath: y\n', /intent\.yaml:2:1: Map keys must be unique/],
  ['path: !secret tenants/acme\n', /intent\.yaml:1:7: Unresolved tag/],
  ['just text\n', /intent\.yaml:1:1: a resource is a mapping/],
  ['spec: {}\n', /intent\.yaml:1:1: a resource needs a path, or a kind and a name/],
  ['kind: prot\nname: x\n', /kind "prot" is none of .*Did you mean port\?/],
  ['kind: port\nname: x\ntier: web\n', /Which tenant and network\?/],
  ['kind: port\npath: tenants/acme\n', /path tenants\/acme is a tenant, kind says port/],
  ['path: tenants/acme\nspec: {}\ndescription: x\n', /description stands beside spec; write it inside/],
  ['path: tenants/acme\nname: globex\n', /path tenants\/acme and name globex differ/],
  ['path: tenants/acme\ndelete: maybe\n', /delete is true or false/],
  ['path: acme\n', /path "acme" is not a path such as/],
  ['resources: []\nextra: 1\n', /extra stands beside resources/],
  ['resources:\n  - path: tenants/acme\n  - 5\n', /intent\.yaml:3:5: a resource is a mapping/],
])('%j is refused at its place', async (text, message) => {
  expect((await faults(text)).join('\n')).toMatch(message);
});

test('all faults of a file are told at once', async () => {
  expect(await faults('kind: prot\n---\nspec: {}\n---\npath: tenants/acme\n')).toHaveLength(2);
});
