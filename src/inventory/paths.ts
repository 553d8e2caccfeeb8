import type { Path } from '../intent/model.ts';

/** `tenants/acme/networks/shop/ports/web1` -> `tenants/acme/networks/shop`; '' at the top level. */
export function parentPath(path: Path): Path {
  const last = path.lastIndexOf('/');
  return path.slice(0, Math.max(0, path.lastIndexOf('/', last - 1)));
}
