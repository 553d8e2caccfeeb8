import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runControllerAlone } from './alone.ts';
import { cutBeforeEyes } from './cut.ts';
import { namespacesForbidden } from './enclosure.ts';
import { failOverBeforeEyes } from './failover.ts';
import { openFrontDoor } from './front-door.ts';
import { advice } from './hints.ts';
import { type Lab, openLab } from './lab.ts';
import { leaseBeforeEyes } from './lease.ts';
import { findOpenVswitch, type OpenVswitch } from './open-vswitch/find.ts';
import { outside } from './outside.ts';
import { runProbes } from './probes.ts';
import { cutSummary, failoverSummary, leaseSummary, probeSummary, probeTable, stylesFor } from './show.ts';
import { setStage } from './stage.ts';
import { cut, probes } from './story.ts';
import { failover, lease, outsideProbes } from './story-outside.ts';

export type SandboxOptions = {
  /** Show, judge, and end; else stay up until a signal. */
  once: boolean;
  /** Port of the REST API on 127.0.0.1; the next free one when it is taken. 8080 unless told. */
  port?: number;
  /** 1 to 4; 2 unless told. */
  hypervisors?: number;
};

/**
 * The show: a controller, hypervisors with real Open vSwitch and VMs in namespaces of their own, two tenants, and what
 * happens to real packets. Resolves with the exit status: 0 when every probe went as expected.
 */
export async function runSandbox(options: SandboxOptions): Promise<number> {
  const started = performance.now();
  const say = (text: string): void => console.log(text);
  const progress = (text: string): void => {
    say(`  ${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${text}`);
  };
  const stop = stopSignal();
  say('Keyway sandbox');
  const openVswitch = await findOpenVswitch({ line: progress });
  const missing =
    'unavailable' in openVswitch ? `there is no Open vSwitch here: ${openVswitch.unavailable}` : undefined;
  const obstacle = missing ?? (await forbidden());
  if (obstacle !== undefined || 'unavailable' in openVswitch) {
    console.error(`\nThe sandbox cannot start: ${obstacle}`);
    if (options.once) return 1;
    return runControllerAlone(options.port ?? 8080, stop);
  }
  const where = openVswitch.source === 'machine' ? 'installed here' : 'unpacked in the cache, nothing is installed';
  progress(`Open vSwitch ${openVswitch.version} (${where})`);
  let lab: Lab | undefined;
  try {
    lab = await openLab(openVswitch);
    const phase = { up: false };
    const broken = lab.enclosure.ended.then((how): never => {
      throw new Error(`the sandbox ${how}`);
    });
    // Once it is up, ending on a signal is what it is for; before, it is an interruption.
    const interrupted = new Promise<number>((resolve) => {
      void stop.then((signal) => phase.up || resolve(exitStatus(signal)));
    });
    return await Promise.race([perform(lab, openVswitch, options, progress, stop, phase), broken, interrupted]);
  } catch (error) {
    console.error(`\nThe sandbox failed: ${error instanceof Error ? error.message : String(error)}`);
    if (lab !== undefined) console.error(logTail(lab));
    return 1;
  } finally {
    await lab?.[Symbol.asyncDispose]();
  }
}

async function forbidden(): Promise<string | undefined> {
  const reason = await namespacesForbidden();
  return reason === undefined ? undefined : `namespaces cannot be made: ${reason}`;
}

async function perform(
  lab: Lab,
  openVswitch: OpenVswitch,
  options: SandboxOptions,
  progress: (text: string) => void,
  stop: Promise<NodeJS.Signals>,
  phase: { up: boolean },
): Promise<number> {
  const { machines, gateways } = await setStage(lab, options.hypervisors ?? 2, progress);
  const shown = [...probes, ...outsideProbes];
  progress(`sending packets: ${shown.length} probes`);
  const results = await runProbes(shown, machines);
  const styles = stylesFor(process.stdout);
  const style = (ok: boolean, text: string): string => (ok ? styles.good(text) : styles.bad(text));
  const asExpected = results.every(({ ok }) => ok);
  console.log(`\n${probeTable(results, styles)}\n`);
  progress(style(asExpected, probeSummary(results)));
  progress(`${cut.from} has two connections to ${cut.to} open; the rule that allows one of them is deleted`);
  const taken = await cutBeforeEyes(lab, machines);
  progress(style(taken.ok, cutSummary(taken)));
  progress(`${lease.vm} has no address; a DHCP client in it asks for one`);
  const leased = await leaseBeforeEyes(lab, machines, progress);
  if (leased !== undefined) progress(style(leased.ok, leaseSummary(leased)));
  progress(`${failover.vm} pings the client outside; the switch of the gateway in charge is killed`);
  const failed = await failOverBeforeEyes(
    gateways,
    machines.get(failover.vm)!,
    outside.client.address,
    failover.address,
  );
  progress(style(failed.ok, failoverSummary(failed)));
  const good = asExpected && taken.ok && leased?.ok !== false && failed.ok;
  if (!good) console.error(logTail(lab));
  if (options.once) return good ? 0 : 1;
  await using door = await openFrontDoor(lab.apiSocket, options.port ?? 8080);
  phase.up = true;
  console.log(advice(lab, openVswitch, door));
  const crashed = lab.controllerEnded().then((how): never => {
    throw new Error(`the controller ended with ${how}`);
  });
  await Promise.race([stop, crashed]);
  console.log('\nstopping; nothing will be left behind');
  return good ? 0 : 1;
}

/** Resolves at the first signal that asks us to end; Ctrl-C under npm arrives twice, and the others change nothing. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}

function exitStatus(signal: NodeJS.Signals): number {
  // The shell's convention: 128 and the number of the signal.
  return { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }[signal as 'SIGHUP' | 'SIGINT' | 'SIGTERM'] ?? 1;
}

function logTail(lab: Lab): string {
  const log = join(lab.directory, 'controller.log');
  if (!existsSync(log)) return 'The controller wrote no log.';
  const lines = readFileSync(log, 'utf8').trim().split('\n').slice(-15);
  return ['The end of the log of the controller:', ...lines].join('\n');
}
