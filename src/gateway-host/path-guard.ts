/**
 * A switch that was restarted has no flows until the controller has been there, and yet its tunnels are alive: it would
 * draw the traffic of networks it is a gateway of and drop it. While it is so the other ends are told that the path is down,
 * and take the other gateway. That is written down before the switch is back, so that it never says anything else.
 */
import type { LocalDatabase, LocalPackets } from '../drivers/local-switch.ts';

/** Milliseconds between looks at a switch that has no flows. */
const interval = 100;

export type PathGuardOptions = {
  database(): Pick<LocalDatabase, 'setPathDown'> | undefined;
  packets(): Pick<LocalPackets, 'programmed'> | undefined;
  /** From here on what is sent to this switch leads somewhere; also after each time it did not. */
  onGood(): void;
  log: { info(fields: object, message: string): void; debug(fields: object, message: string): void };
};

export class PathGuard {
  readonly #options: PathGuardOptions;
  #timer: NodeJS.Timeout | undefined;
  #down: boolean | undefined;
  /** Counts connections: an answer that belongs to an earlier one says nothing any more. */
  #connection = 0;

  constructor(options: PathGuardOptions) {
    this.#options = options;
  }

  /** Whether the switch has its flows, as last seen. */
  get isGood(): boolean {
    return this.#down === false;
  }

  connected(): void {
    this.#connection++;
    void this.#look(this.#connection);
  }

  disconnected(): void {
    this.#connection++;
    clearTimeout(this.#timer);
    this.#set(true);
  }

  close(): void {
    this.#connection++;
    clearTimeout(this.#timer);
  }

  async #look(connection: number): Promise<void> {
    let programmed = false;
    try {
      programmed = (await this.#options.packets()?.programmed()) ?? false;
    } catch (err) {
      // It has gone meanwhile, which is told as such, or does not answer: asked again.
      this.#options.log.debug({ err }, 'the switch does not say whether it has flows');
    }
    if (connection !== this.#connection) return;
    this.#set(!programmed);
    if (!programmed) this.#timer = setTimeout(() => void this.#look(connection), interval);
  }

  #set(down: boolean): void {
    const changed = this.#down !== down;
    if (changed)
      this.#options.log.info(
        {},
        down ? 'the switch has no flows: its tunnels are not to be used' : 'the switch has flows',
      );
    this.#down = down;
    this.#options.database()?.setPathDown(down);
    if (changed && !down) this.#options.onGood();
  }
}
