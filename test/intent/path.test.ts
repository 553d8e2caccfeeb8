import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectionPath, formatPath, networkOf, parsePath, tenantOf } from '../../src/intent/path.ts';
import { definitions, type Kind, kinds } from '../../src/intent/resources/index.ts';
import { Problem } from '../../src/problems.ts';

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);

function lineage(kind: Kind): Kind[] {
  const { parent } = definitions[kind];
  return parent === undefined ? [kind] : [...lineage(parent as Kind), kind];
}

describe('paths', () => {
  it('of every kind are read back as they were made', () => {
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.array(name, { minLength: 3, maxLength: 3 }), (kind, names) => {
        const line = lineage(kind);
        let parent = '';
        let path = '';
        line.forEach((k, i) => {
          parent = path;
          path = formatPath(k, parent, names[i]!);
        });
        expect(parsePath(path)).toEqual({
          kind,
          path,
          names: names.slice(0, line.length),
          parent,
          name: names[line.length - 1],
        });
        expect(path.startsWith(`${collectionPath(kind, parent)}/`)).toBe(true);
        expect(tenantOf(path)).toBe(line.includes('tenant') ? `tenants/${names[0]}` : undefined);
        expect(networkOf(path)).toBe(line.includes('network') ? `tenants/${names[0]}/networks/${names[1]}` : undefined);
      }),
    );
  });

  it.each([
    ['tenants', 'route.not-found'],
    ['', 'route.not-found'],
    ['foos/a', 'route.not-found'],
    ['networks/a', 'route.not-found'],
    ['tenants/acme/ports/p', 'route.not-found'],
    ['tenants/acme/networks/n/tiers/t/ports/p', 'route.not-found'],
    ['tenants/acme/', 'route.not-found'],
    ['tenants/Acme', 'name.invalid'],
    ['tenants/-a', 'name.invalid'],
    ['tenants//networks/n', 'name.invalid'],
    ['tenants/..', 'name.invalid'],
    [`tenants/${'a'.repeat(64)}`, 'name.invalid'],
    ['tenants/a\n', 'name.invalid'],
    ['__proto__/a', 'route.not-found'],
    ['constructor/a', 'route.not-found'],
  ])('%j is refused as %s', (path, code) => {
    const parsed = parsePath(path);
    expect(parsed).toBeInstanceOf(Problem);
    expect((parsed as Problem).code).toBe(code);
  });
});
