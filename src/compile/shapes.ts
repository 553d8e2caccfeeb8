/**
 * What each network's ports depend on beyond themselves (see `shape` in routing.ts), as it was when they were last
 * compiled. One tier more is then one tier compiled, and only where it makes routing begin, every port.
 */
import type { Path, ResourceChange, View } from '../intent/model.ts';
import { shape } from './routing.ts';
import type { CompileState, Subject } from './state.ts';

export class Shapes {
  readonly #state: CompileState;
  /** Of networks that have one. */
  readonly #known = new Map<Path, string>();
  readonly #open = new Set<Path>();

  constructor(state: CompileState) {
    this.#state = state;
  }

  /** The network may have another shape now. */
  touch(network: Path): void {
    this.#open.add(network);
  }

  touchedBy(change: ResourceChange): void {
    for (const network of shapedBy(this.#state.view, change)) this.touch(network);
  }

  /** Subjects of networks that have another shape than was known; it is from here on. */
  *settle(): Iterable<Subject> {
    for (const network of this.#open) {
      const now = shape(this.#state, network);
      if (now === (this.#known.get(network) ?? '')) continue;
      if (now === '') this.#known.delete(network);
      else this.#known.set(network, now);
      yield* this.#subjects(network);
    }
    this.#open.clear();
  }

  /** The same for changes that are only staged: nothing is known from it. */
  *differing(changes: Iterable<ResourceChange>): Iterable<Subject> {
    const networks = new Set<Path>();
    for (const change of changes) for (const network of shapedBy(this.#state.view, change)) networks.add(network);
    for (const network of networks)
      if (shape(this.#state, network) !== (this.#known.get(network) ?? '')) yield* this.#subjects(network);
  }

  *#subjects(network: Path): Iterable<Subject> {
    const { view, placement } = this.#state;
    for (const port of placement.boundPortsOf(network)) yield `port:${port}`;
    for (const tier of view.children('tier', network)) yield `tier:${tier.path}`;
    yield `extra:${network}`;
  }
}

/** Networks whose shape a change may alter. */
function* shapedBy(view: View, change: ResourceChange): Iterable<Path> {
  switch (change.kind) {
    case 'network':
      yield change.path;
      return;
    case 'tier':
    case 'route':
    case 'steering':
      yield (change.after ?? change.before)!.parent;
      return;
    case 'offering':
      for (const r of view.referrers(change.path)) if (r.kind === 'network') yield r.path;
      return;
    case 'peering':
      for (const r of [change.before, change.after])
        if (r !== undefined) for (const name of r.spec.networks) yield `${r.parent}/networks/${name}`;
      return;
    default:
  }
}
