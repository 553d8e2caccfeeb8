import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
beforeEach(async () => {
  h = await harness();
});
afterEach(() => h.close());

describe('a resource', () => {
  test('is created, read, replaced and deleted', async () => {
    const created = await h.ask('orchestrator', 'PUT', 'tenants/acme', { description: 'one', labels: { a: 'b' } });
    expect(created.status, created.text).toBe(201);
    expect(created.headers.location).toBe('/v1/tenants/acme');
    expect(created.headers.etag).toBe(`"${created.body.revision}"`);
    expect(created.body).toMatchObject({ name: 'acme', description: 'one', labels: { a: 'b' } });
    expect(created.body.status.state).toBe('programmed');

    const read = await h.ask('orchestrator', 'GET', 'tenants/acme');
    expect(read.body).toEqual(created.body);
    const replaced = await h.ask('orchestrator', 'PUT', 'tenants/acme', { description: 'two' });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({ uid: created.body.uid, labels: {}, description: 'two' });
    expect(replaced.body.revision).toBeGreaterThan(created.body.revision);
    const deleted = await h.ask('orchestrator', 'DELETE', 'tenants/acme');
    expect(deleted.status).toBe(204);
    problemOf(await h.ask('orchestrator', 'GET', 'tenants/acme'), 'resource.not-found');
  });
});
