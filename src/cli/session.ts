/** What a command works with: settings, client and printing, each made when first asked for. */
import { type Arguments, milliseconds } from './arguments.ts';
import { Client } from './client.ts';
import type { OutputFormat } from './command.ts';
import type { Io } from './io.ts';
import { type Settings, settingsOf } from './settings.ts';
import { type Paint, paintFor } from './style.ts';

export class Session {
  readonly io: Io;
  readonly args: Arguments;
  /** Colours of standard output. */
  readonly paint: Paint;
  #settings: Promise<Settings> | undefined;
  #client: Promise<Client> | undefined;

  constructor(io: Io, args: Arguments) {
    this.io = io;
    this.args = args;
    this.paint = paintFor(io, io.stdout);
  }

  settings(): Promise<Settings> {
    this.#settings ??= settingsOf(this.io, this.args);
    return this.#settings;
  }

  client(): Promise<Client> {
    this.#client ??= this.#connect();
    return this.#client;
  }

  async #connect(): Promise<Client> {
    const settings = await this.settings();
    const timeout = this.timeout();
    return new Client({
      url: settings.url,
      token: await settings.token(),
      ...(timeout === undefined ? {} : { timeout }),
      ...(this.io.signal ? { signal: this.io.signal } : {}),
    });
  }

  /** `--timeout` in milliseconds. */
  timeout(): number | undefined {
    const text = this.args.value('timeout');
    return text === undefined ? undefined : milliseconds(text, '--timeout');
  }

  /** Width of the terminal, undefined where standard output is none. */
  get columns(): number | undefined {
    return this.io.stdout.isTTY ? (this.io.stdout.columns ?? 80) : undefined;
  }

  /** `-o`, or what the command prints when nothing is said. */
  format<const Other extends string = 'table'>(otherwise?: Other): OutputFormat | Other {
    return (this.args.value('output') as OutputFormat | undefined) ?? otherwise ?? 'table';
  }

  print(text: string): void {
    this.io.stdout.write(text);
  }

  /** For people, beside the answer. */
  note(text: string): void {
    this.io.stderr.write(text);
  }

  /** Prints a value as JSON or YAML; false when another format is wanted. */
  async printAs(format: string, value: unknown): Promise<boolean> {
    if (format !== 'json' && format !== 'yaml') return false;
    // JSON leaves C1 control characters as they are; a terminal would obey them.
    const shown = (text: string) =>
      text.replace(
        /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    if (format === 'json') {
      this.print(`${shown(JSON.stringify(value, null, 2))}\n`);
      return true;
    }
    const { stringify } = await import('yaml');
    this.print(stringify(value, { lineWidth: 0 }));
    return true;
  }

  async close(): Promise<void> {
    if (!this.#client) return;
    try {
      (await this.#client).close();
    } catch {
      // The client was never made; the command has told why.
    }
  }
}
