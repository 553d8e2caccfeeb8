/** Where a kind lies among the routes: its URLs, and the paths their parameters stand for. */
import type { Path } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { definitions, type Kind } from '../intent/resources/index.ts';

export class Place {
  /** `/v1/tenants/:tenant/networks` */
  readonly collectionUrl: string;
  /** `/v1/tenants/:tenant/networks/:network`; parameters in camel case, since a hyphen ends the name of one. */
  readonly url: string;
  readonly #kind: Kind;
  /** Kinds from the top down to the parent. */
  readonly #above: readonly Kind[];

  constructor(kind: Kind) {
    this.#kind = kind;
    this.#above = ancestors(kind);
    const above = this.#above.map((k) => `${definitions[k].segment}/:${parameterOf(k)}/`).join('');
    this.collectionUrl = `/v1/${above}${definitions[kind].segment}`;
    this.url = `${this.collectionUrl}/:${parameterOf(kind)}`;
  }

  /** '' at the top level. */
  parent(params: Readonly<Record<string, string>>): Path {
    let path = '';
    for (const kind of this.#above) path = formatPath(kind, path, params[parameterOf(kind)]!);
    return path;
  }

  path(params: Readonly<Record<string, string>>): Path {
    return formatPath(this.#kind, this.parent(params), params[parameterOf(this.#kind)]!);
  }
}

/** `public-ip` -> `publicIp` */
export function parameterOf(kind: Kind): string {
  return kind.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function ancestors(kind: Kind): Kind[] {
  const { parent } = definitions[kind];
  return parent === undefined ? [] : [...ancestors(parent as Kind), parent as Kind];
}
