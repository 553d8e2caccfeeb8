/**
 * What is served, kept on disk: after a restart it is served again whether there is a controller or not. One record per
 * network and one per port; what a message changed is written in one batch, whole or not at all.
 */
import { Level } from 'level';
import type { ServedNetwork, ServedPort } from '../../drivers/gateway-services.ts';
import type { Effects, Served } from '../served.ts';

const networkPrefix = 'network/';
const portPrefix = 'port/';
const selfKey = 'self';

/** Numbers in fixed width, so that the ports of a network lie side by side. */
const networkKey = (network: number): string => networkPrefix + String(network).padStart(13, '0');
const portKey = (network: number, port: number): string =>
  `${portPrefix}${String(network).padStart(13, '0')}/${String(port).padStart(13, '0')}`;

export class Memory {
  readonly #level: Level;
  #last: Promise<void> = Promise.resolve();
  readonly #onError: (error: unknown) => void;

  private constructor(level: Level, onError: (error: unknown) => void) {
    this.#level = level;
    this.#onError = onError;
  }

  /** @throws Error when the directory cannot be had: another program has it, say */
  static async open(directory: string, onError: (error: unknown) => void): Promise<Memory> {
    const level = new Level(directory);
    await level.open();
    return new Memory(level, onError);
  }

  /**
   * What was served last. @returns the number of this hypervisor, where it was ever told, and how many records could not be
   * read
   */
  async recall(served: Served): Promise<{ self: number | undefined; unreadable: number }> {
    let unreadable = 0;
    const read = (take: () => void) => {
      try {
        take();
      } catch {
        // Of another release, or damaged: the controller will tell it anew.
        unreadable++;
      }
    };
    for await (const [, text] of this.#level.iterator({ gte: networkPrefix, lt: `${networkPrefix}~` }))
      read(() => served.apply({ type: 'network', network: JSON.parse(text) as ServedNetwork }));
    for await (const [key, text] of this.#level.iterator({ gte: portPrefix, lt: `${portPrefix}~` })) {
      const network = Number(key.slice(portPrefix.length).split('/')[0]);
      read(() => served.apply({ type: 'ports', network, set: [JSON.parse(text) as ServedPort], remove: [] }));
    }
    const self = await this.#level.get(selfKey);
    return { self: self === undefined ? undefined : Number(self), unreadable };
  }

  /** The number of this hypervisor. */
  keepSelf(number: number): void {
    this.#queue(() => this.#level.put(selfKey, String(number), { sync: true }));
  }

  /** In the order in which it is told; what cannot be written is told to `onError`, and served all the same. */
  keep({ networks, ports, goneNetworks, gonePorts }: Effects): void {
    if (networks.length + ports.length + goneNetworks.length + gonePorts.length === 0) return;
    // As they are now: they may have changed again when the write comes to its turn.
    const puts = [
      ...networks.map(
        ({ told }) => ({ type: 'put', key: networkKey(told.number), value: JSON.stringify(told) }) as const,
      ),
      ...ports.map(
        ({ told, network, number }) =>
          ({ type: 'put', key: portKey(network.told.number, number), value: JSON.stringify(told) }) as const,
      ),
    ];
    this.#queue(() => this.#write(puts, goneNetworks, gonePorts));
  }

  #queue(write: () => Promise<void>): void {
    this.#last = this.#last.then(write).catch((error: unknown) => this.#onError(error));
  }

  /** Resolves when everything told so far is on disk, or was said not to be. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#level.close();
  }

  async #write(
    puts: readonly { type: 'put'; key: string; value: string }[],
    goneNetworks: readonly number[],
    gonePorts: readonly [number, number][],
  ): Promise<void> {
    const dels = gonePorts.map(([network, port]) => ({ type: 'del', key: portKey(network, port) }) as const);
    for (const network of goneNetworks) {
      dels.push({ type: 'del', key: networkKey(network) });
      const first = portKey(network, 0);
      for await (const key of this.#level.keys({ gte: first, lt: `${first.slice(0, -13)}~` }))
        dels.push({ type: 'del', key });
    }
    await this.#level.batch([...dels, ...puts], { sync: true });
  }
}
