/** Where a kind lies among the routes: its URLs, and the paths their parameters stand for. */
import type { Path } from '../intent/model.ts';
import { formatPath } from '../intent/path.ts';
import { definitions, type Kind } from '../intent/resources/index.ts';

export class Place {
  /** `/v1/tenants/:tenant/networks` */
  readonly collectionUrl: string;
  /** `/v1/tenants/:tenant/networks/:network` */
  readonly url: string;
  readonly #kind: Kind;
  /** Kinds from the top down to the parent. */
  readonly #above: readonly Kind[];

  constructor(kind: Kind) {
    this.#kind = kind;
    this.#above = ancestors(kind);
    const above = this.#above.map((k) => `${definitions[k].segment}/:${k}/`).join('');
    this.collectionUrl = `/v1/${above}${definitions[kind].segment}`;
    this.url = `${this.collectionUrl}/:${kind}`;
  }

  /** '' at the top level. */
  parent(params: Readonly<Record<string, string>>): Path {
    let path = '';
    for (const kind of this.#above) path = formatPath(kind, path, params[kind]!);
    return path;
  }

  path(params: Readonly<Record<string, string>>): Path {
    return formatPath(this.#kind, this.parent(params), params[this.#kind]!);
  }
}

function ancestors(kind: Kind): Kind[] {
  const { parent } = definitions[kind];
  return parent === undefined ? [] : [...ancestors(parent as Kind), parent as Kind];
}
