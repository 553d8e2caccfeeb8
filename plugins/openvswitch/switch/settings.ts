/** What can be set about sessions with switches, and what is meant when nothing is. */
import type { SwitchEvents } from '../../../src/drivers/switch-plugin.ts';
import { type ConnectionLimits, defaultLimits } from './connection.ts';

export type { Log } from '../log.ts';

/** Packets per second let through, and how many more in a burst. */
export type MeterLimit = { rate: number; burst: number };

export type SwitchSettings = {
  /** What becomes of flows, groups and meters that differ from what is desired though nobody asked. */
  driftPolicy: 'mend' | 'report';
  connection: ConnectionLimits;
  /** Milliseconds from the TCP connection to the datapath id. */
  handshakeTimeout: number;
  /** Milliseconds from one part of an answer to the next. */
  replyTimeout: number;
  /** Milliseconds a switch has for each confirmation of a bundle, and 0.2 more for every flow of it. */
  bundleTimeout: number;
  /** Most flows in one bundle; more go in several, each atomic by itself. */
  bundleFlows: number;
  /** Milliseconds from the first sign of drift to reading back, so that one read sees all of an edit. */
  driftDelay: number;
  /** Milliseconds between reads of a switch that can tell us of changes, as a safety net. */
  auditInterval: number;
  /** Milliseconds between reads of a switch that cannot. */
  pollInterval: number;
  /** Virtual meters: packets to the controller, and packets the datapath hands to ovs-vswitchd. */
  meters: { controller: MeterLimit; slowpath: MeterLimit };
  /** Packets of a switch that are told to the main thread, and those of a port that are answered. */
  packetIns: { told: MeterLimit; answered: MeterLimit };
};

export const defaultSettings: SwitchSettings = {
  driftPolicy: 'mend',
  connection: defaultLimits,
  handshakeTimeout: 5_000,
  replyTimeout: 30_000,
  bundleTimeout: 10_000,
  bundleFlows: 100_000,
  driftDelay: 20,
  auditInterval: 300_000,
  pollInterval: 1_000,
  meters: { controller: { rate: 1_000, burst: 1_000 }, slowpath: { rate: 1_000, burst: 1_000 } },
  packetIns: { told: { rate: 500, burst: 500 }, answered: { rate: 50, burst: 50 } },
};

export type FlowEvents = Pick<
  SwitchEvents,
  'connected' | 'disconnected' | 'acknowledged' | 'rejected' | 'accepted' | 'drifted' | 'packetIn'
>;
