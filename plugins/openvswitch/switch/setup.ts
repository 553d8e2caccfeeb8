/** What a new session asks of a switch before it looks at flows, and what is not flows: meters and groups. */
import { ByteWriter } from '../openflow/bytes.ts';
import { messageType, openflowVersion } from '../openflow/frame.ts';
import {
  flowMonitorRequest,
  groupDescRequest,
  meterConfigRequest,
  meterMod,
  monitorFlag,
  portDescRequest,
  portMod,
  setConfig,
  virtualMeter,
} from '../openflow/messages.ts';
import { setPacketInFormat } from '../openflow/packet-in.ts';
import {
  type MeterDesc,
  type PortDesc,
  parseGroupDesc,
  parseMeterConfig,
  parsePortDesc,
  portConfig,
} from '../openflow/replies.ts';
import type { Connection } from './connection.ts';
import { confirmed, multipart, RequestRefused } from './multipart.ts';
import type { Log, SwitchSettings } from './settings.ts';

/** OFPT_REQUESTFORWARD: another controller changes a group or a meter. OpenFlow 1.5.1 section 7.4.6. */
export const requestForward = 32;

/** OFPACPT_*, OpenFlow 1.5.1 section 7.3.10; slave, then master and equal. */
const asyncProperties = {
  packetIn: [0, 1],
  portStatus: [2, 3],
  flowRemoved: [4, 5],
  roleStatus: [6, 7],
  tableStatus: [8, 9],
  requestForward: [10, 11],
} as const;

/** Bits of ofp_*_reason: controller actions; ports modified; changes of groups and of meters. */
const wantedReasons: Partial<Record<keyof typeof asyncProperties, number>> = {
  packetIn: 0b10,
  portStatus: 0b100,
  requestForward: 0b11,
};

/** OFPT_SET_ASYNC: all that a switch is to tell unasked. A miss and an expired TTL are none of it. */
function wantedMessages(xid: number): Buffer {
  const writer = new ByteWriter(128);
  writer.u8(openflowVersion);
  writer.u8(messageType.setAsync);
  writer.u16(0);
  writer.u32(xid);
  for (const [name, properties] of Object.entries(asyncProperties)) {
    for (const property of properties) {
      writer.u16(property);
      writer.u16(8);
      writer.u32(wantedReasons[name as keyof typeof asyncProperties] ?? 0);
    }
  }
  writer.setU16(2, writer.length);
  return writer.view();
}

const monitorId = 1;

/**
 * Asks to be told of changes that are not ours.
 * @returns false where the switch cannot, and has to be read at intervals
 * @throws ConnectionClosed, ReplyOverdue
 */
export async function watchForChanges(connection: Connection, settings: SwitchSettings, log: Log): Promise<boolean> {
  try {
    await confirmed(connection, 'asynchronous messages', settings.replyTimeout, [wantedMessages]);
    const flags = monitorFlag.add | monitorFlag.removed | monitorFlag.modify;
    const request = (xid: number): Buffer => flowMonitorRequest(xid, { monitor: monitorId, flags });
    await confirmed(connection, 'flow monitor', settings.replyTimeout, [request]);
    return true;
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    log.warn({ error: error.message }, 'the switch cannot tell of changes: it is read at intervals');
    return false;
  }
}

/** Packets that flows send here come with their userdata. @throws ConnectionClosed, ReplyOverdue */
export async function askForUserdata(connection: Connection, settings: SwitchSettings, log: Log): Promise<void> {
  await unlessRefused(connection, 'packet-in format', settings, [setPacketInFormat], log);
}

/** Ids of all groups of the switch: none is ours. @throws ConnectionClosed, RequestRefused, ReplyOverdue */
export async function readGroups(connection: Connection, timeout: number): Promise<number[]> {
  const groups: number[] = [];
  await multipart(
    connection,
    'groups',
    timeout,
    (xid) => groupDescRequest(xid),
    (body) => groups.push(...parseGroupDesc(body)),
  );
  return groups;
}

/**
 * What somebody may set of a port over OpenFlow that makes it lose packets whatever the flows say. Whether it is down is its
 * hypervisor's affair.
 */
const hindrances = portConfig.noReceive | portConfig.noForward | portConfig.noPacketIn;

export function isHindered({ config }: PortDesc): boolean {
  return (config & hindrances) !== 0;
}

/** Ports that are hindered. @throws ConnectionClosed, RequestRefused, ReplyOverdue */
export async function readHindered(connection: Connection, timeout: number): Promise<PortDesc[]> {
  const hindered: PortDesc[] = [];
  await multipart(
    connection,
    'ports',
    timeout,
    (xid) => portDescRequest(xid),
    (body) => hindered.push(...parsePortDesc(body).filter(isHindered)),
  );
  return hindered;
}

/** Ports pass packets, and fragments are handled as rules expect (docs/decisions/0011). @throws ConnectionClosed, ReplyOverdue */
export async function unhinder(
  connection: Connection,
  settings: SwitchSettings,
  ports: readonly PortDesc[],
  log: Log,
): Promise<void> {
  const changes = ports.map(
    ({ port, mac }) =>
      (xid: number) =>
        portMod(xid, port, mac, 0, hindrances),
  );
  await unlessRefused(connection, 'ports', settings, [(xid) => setConfig(xid), ...changes], log);
}

type WantedMeter = { meter: number; unit: 'pktps'; rate: number; burst: number };

/** `others`: those that are not virtual, which serve flows. */
export type MeterDrift = { missing: WantedMeter[]; different: WantedMeter[]; others: MeterDesc[] };

/** @param slowpathAllowance as in SwitchState @throws ConnectionClosed, RequestRefused, ReplyOverdue */
export async function readMeters(
  connection: Connection,
  settings: SwitchSettings,
  slowpathAllowance: number,
): Promise<MeterDrift> {
  const installed = new Map<number, MeterDesc>();
  await multipart(
    connection,
    'meters',
    settings.replyTimeout,
    (xid) => meterConfigRequest(xid),
    (body) => {
      for (const meter of parseMeterConfig(body)) installed.set(meter.meter, meter);
    },
  );
  const drift: MeterDrift = { missing: [], different: [], others: [] };
  for (const name of ['controller', 'slowpath'] as const) {
    const { rate, burst } = settings.meters[name];
    const more = name === 'slowpath' ? slowpathAllowance : 0;
    const wanted: WantedMeter = { meter: virtualMeter[name], unit: 'pktps', rate: rate + more, burst: burst + more };
    const there = installed.get(wanted.meter);
    installed.delete(wanted.meter);
    if (there === undefined) drift.missing.push(wanted);
    else if (there.unit !== wanted.unit || there.rate !== wanted.rate || there.burst !== wanted.burst) {
      drift.different.push(wanted);
    }
  }
  drift.others.push(...installed.values());
  return drift;
}

/**
 * Sets our virtual meters. A switch that has none works without, and says so in the log.
 * @throws ConnectionClosed, ReplyOverdue
 */
export async function setMeters(
  connection: Connection,
  settings: SwitchSettings,
  { missing, different }: MeterDrift,
  log: Log,
): Promise<void> {
  const changes = [
    ...missing.map((meter) => (xid: number) => meterMod(xid, 'add', meter)),
    ...different.map((meter) => (xid: number) => meterMod(xid, 'modify', meter)),
  ];
  await unlessRefused(connection, 'virtual meters', settings, changes, log);
}

async function unlessRefused(
  connection: Connection,
  what: string,
  settings: SwitchSettings,
  changes: readonly ((xid: number) => Buffer)[],
  log: Log,
): Promise<void> {
  if (changes.length === 0) return;
  try {
    await confirmed(connection, what, settings.replyTimeout, changes);
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    log.warn({ error: error.message }, `the switch refuses a change of ${what}`);
  }
}
