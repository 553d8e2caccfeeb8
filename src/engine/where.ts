import type { Resource, View } from '../intent/model.ts';

/** Ports a query means: a path, a name, an IP, a MAC or an ifaceId, in every tenant. */
export function findPorts(view: View, query: string): Resource<'port'>[] {
  const wanted = query.trim();
  const direct = view.getAs('port', wanted.replace(/^\/?(v1\/)?/, ''));
  if (direct !== undefined) return [direct];
  const byIface = view.portByIfaceId(wanted);
  if (byIface !== undefined) return [byIface];
  const mac = wanted.toLowerCase();
  const short = wanted.split('/');
  const found: Resource<'port'>[] = [];
  for (const tenant of view.children('tenant', '')) {
    for (const network of view.children('network', tenant.path)) {
      if (short.length === 3) {
        // acme/shop/web1
        if (tenant.name === short[0] && network.name === short[1]) {
          const port = view.getAs('port', `${network.path}/ports/${short[2]}`);
          if (port !== undefined) found.push(port);
        }
        continue;
      }
      for (const port of view.children('port', network.path)) {
        if (port.name === wanted || port.spec.mac === mac || port.spec.ips.includes(wanted)) found.push(port);
      }
    }
  }
  return found;
}

/** Public addresses a query means: a path, a name or the address itself, in every tenant. */
export function findPublicIps(view: View, query: string): Resource<'public-ip'>[] {
  const wanted = query.trim();
  const direct = view.getAs('public-ip', wanted.replace(/^\/?(v1\/)?/, ''));
  if (direct !== undefined) return [direct];
  const short = wanted.split('/');
  const found: Resource<'public-ip'>[] = [];
  for (const tenant of view.children('tenant', ''))
    for (const network of view.children('network', tenant.path)) {
      if (short.length === 3 && (tenant.name !== short[0] || network.name !== short[1])) continue;
      const name = short.length === 3 ? short[2] : wanted;
      for (const one of view.children('public-ip', network.path))
        if (one.name === name || one.spec.address === wanted) found.push(one);
    }
  return found;
}
