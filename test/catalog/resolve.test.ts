import { describe, expect, it } from 'vitest';
import { resolveServices, serviceConditions } from '../../src/catalog/resolve.ts';
import { builtInOfferings } from '../../src/intent/built-in.ts';
import type { Resource } from '../../src/intent/model.ts';

function offering(name: keyof typeof builtInOfferings): Resource<'offering'> {
  const path = `offerings/${name}`;
  const spec = builtInOfferings[name];
  return {
    kind: 'offering',
    path,
    name,
    parent: '',
    uid: 'u',
    number: 1,
    id: 0,
    revision: 1,
    createdAt: 0,
    labels: {},
    spec,
  };
}

describe('the services of an offering', () => {
  it('are served by flows where nothing else is asked for', () => {
    const rules = { ...offering('basic'), spec: { services: ['rules' as const] } };
    expect(resolveServices(rules, new Set())).toEqual([{ service: 'rules', by: { flows: true } }]);
    expect(serviceConditions(rules, new Set())).toEqual([]);
  });

  it('are served by the driver the offering names, once it is there', () => {
    const services = (name: keyof typeof builtInOfferings, ...drivers: string[]) =>
      serviceConditions(offering(name), new Set(drivers)).map((c) => {
        expect(c).toMatchObject({ type: 'ServiceNotProvided', status: 'True', reason: 'NoDriver' });
        return /^Service (\S+) /.exec(c.message)?.[1];
      });
    expect(services('gold')).toEqual(expect.arrayContaining(['firewall', 'load-balancer', 'vpn']));
    // What is left is what basic lacks too.
    expect(services('gold', 'virtual-router')).toEqual(services('basic'));
    expect(services('platinum', 'juniper-srx')).toEqual([...services('basic'), 'load-balancer']);
    expect(resolveServices(offering('platinum'), new Set(['netscaler'])).at(-2)).toEqual({
      service: 'load-balancer',
      by: { provider: 'netscaler' },
    });
  });

  it('are all served by flows under basic', () => {
    expect(serviceConditions(offering('basic'), new Set())).toEqual([]);
    expect(resolveServices(offering('basic'), new Set()).map(({ service }) => service)).toEqual(
      expect.arrayContaining(['source-nat', 'static-nat', 'port-forwarding', 'dhcp']),
    );
  });

  it('read the same to a tenant under Gold and under Platinum', () => {
    expect(serviceConditions(offering('gold'), new Set())).toEqual(serviceConditions(offering('platinum'), new Set()));
  });

  it('that have no driver and no flows are served by nobody', () => {
    const vpn = { ...offering('basic'), spec: { services: ['vpn' as const] } };
    expect(resolveServices(vpn, new Set(['virtual-router']))).toEqual([{ service: 'vpn', by: undefined }]);
  });
});
