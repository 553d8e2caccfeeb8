/** Messages we send. Each returns one Buffer; what is sent by the thousand appends to a ByteWriter (see flow-mod.ts). */

import type { ConnectionsTo } from '../../../src/drivers/switch-plugin.ts';
import type { Action, Match } from '../../../src/pipeline/flow.ts';
import { encodeActions } from './actions.ts';
import { ByteWriter } from './bytes.ts';
import { messageType, openflowVersion } from './frame.ts';
import { encodeMatch } from './match.ts';
import { niciraVendor } from './nicira.ts';

export { bundleAddFlow, type FlowCommand, flowDelete, flowMod } from './flow-mod.ts';

/** Port, group and table wildcards: OFPP_ANY, OFPG_ANY, OFPG_ALL, OFPTT_ALL. OpenFlow 1.5.1 section 7.2. */
export const anyPort = 0xffffffff;
export const anyGroup = 0xffffffff;
export const allGroups = 0xfffffffc;
export const allTables = 0xff;
export const noBuffer = 0xffffffff;

/** Virtual meters, and all meters. OpenFlow 1.5.1 section 7.3.4.5 (ofp_meter). */
export const virtualMeter = { slowpath: 0xfffffffd, controller: 0xfffffffe, all: 0xffffffff } as const;

/** OFPBCT_*, OpenFlow 1.5.1 section 7.3.9.2. */
export const bundleType = {
  open: 0,
  openReply: 1,
  close: 2,
  closeReply: 3,
  commit: 4,
  commitReply: 5,
  discard: 6,
  discardReply: 7,
} as const;

/** OFPBF_*, OpenFlow 1.5.1 section 7.3.9.3. */
export const bundleFlag = { atomic: 1, ordered: 2 } as const;
export const bundleFlags: number = bundleFlag.atomic | bundleFlag.ordered;

/** OFPMP_*, OpenFlow 1.5.1 section 7.3.5. */
export const multipartType = {
  flowDesc: 1,
  aggregate: 2,
  portStats: 4,
  groupDesc: 7,
  meterConfig: 10,
  portDesc: 13,
  flowMonitor: 16,
} as const;

/** OFPFMF_*, OpenFlow 1.5.1 section 7.3.5.19. Open vSwitch 3.1 refuses OFPFMF_NO_ABBREV, and none of the first three. */
export const monitorFlag = {
  add: 2,
  removed: 4,
  modify: 8,
  initial: 1,
  instructions: 16,
  onlyOwn: 64,
} as const;

function message(type: number, xid: number, body?: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(64);
  writer.u8(openflowVersion);
  writer.u8(type);
  writer.u16(0);
  writer.u32(xid);
  body?.(writer);
  if (writer.length > 0xffff) throw new Error(`a message of ${writer.length} bytes does not fit OpenFlow's 65,535`);
  writer.setU16(2, writer.length);
  return writer.view();
}

function multipart(type: number, xid: number, body?: (writer: ByteWriter) => void): Buffer {
  return message(messageType.multipartRequest, xid, (writer) => {
    writer.u16(type);
    writer.zeros(6);
    body?.(writer);
  });
}

/** HELLO that offers OpenFlow 1.5 alone, with the version bitmap of OpenFlow 1.5.1 section 7.5.1. */
export function hello(xid: number): Buffer {
  return message(messageType.hello, xid, (writer) => {
    writer.u16(1);
    writer.u16(8);
    writer.u32(1 << openflowVersion);
  });
}

export function echoRequest(xid: number, data?: Uint8Array): Buffer {
  return message(messageType.echoRequest, xid, (writer) => data && writer.bytes(data));
}

/** Answer an echo request with its own xid and data. */
export function echoReply(xid: number, data?: Uint8Array): Buffer {
  return message(messageType.echoReply, xid, (writer) => data && writer.bytes(data));
}

export function featuresRequest(xid: number): Buffer {
  return message(messageType.featuresRequest, xid);
}

export function barrierRequest(xid: number): Buffer {
  return message(messageType.barrierRequest, xid);
}

/** Fragments handled as the datapath does (OFPC_FRAG_NORMAL); `missSendLength` in bytes, 0 sends no packet payload. */
export function setConfig(xid: number, missSendLength = 0): Buffer {
  return message(messageType.setConfig, xid, (writer) => {
    writer.u16(0);
    writer.u16(missSendLength);
  });
}

/** Which unasked messages the switch sends this controller: bit masks of OFPR_*, OFPPR_*, OFPRR_* reasons. */
export type AsyncReasons = { packetIn: number; portStatus: number; flowRemoved: number };

/** OFPT_SET_ASYNC, the same for every role. OpenFlow 1.5.1 section 7.3.10. */
export function asyncConfig(xid: number, reasons: AsyncReasons): Buffer {
  return message(messageType.setAsync, xid, (writer) => {
    // ofp_async_config_prop_type: even for slaves, odd for masters.
    const masks = [reasons.packetIn, reasons.packetIn, reasons.portStatus, reasons.portStatus];
    masks.push(reasons.flowRemoved, reasons.flowRemoved);
    masks.forEach((mask, property) => {
      writer.u16(property);
      writer.u16(8);
      writer.u32(mask);
    });
  });
}

/** `type`: bundleType.open, commit or discard. Use the same flags for a bundle's every message. */
export function bundleControl(xid: number, bundleId: number, type: number, flags: number = bundleFlags): Buffer {
  return message(messageType.bundleControl, xid, (writer) => {
    writer.u32(bundleId);
    writer.u16(type);
    writer.u16(flags);
  });
}

/** Narrows a flow dump or an aggregate. Cookie and mask: flows whose cookie agrees in the mask's one bits. */
export type FlowFilter = { table?: number; match?: Match; cookie?: bigint; cookieMask?: bigint };

function flowStatsRequest(type: number, xid: number, filter: FlowFilter): Buffer {
  return multipart(type, xid, (writer) => {
    writer.u8(filter.table ?? allTables);
    writer.zeros(3);
    writer.u32(anyPort);
    writer.u32(anyGroup);
    writer.zeros(4);
    writer.u64(filter.cookie ?? 0n);
    writer.u64(filter.cookieMask ?? (filter.cookie === undefined ? 0n : 0xffffffffffffffffn));
    encodeMatch(writer, filter.match ?? {});
  });
}

/** OFPMP_FLOW_DESC: flows with instructions and counters. */
export function flowDescRequest(xid: number, filter: FlowFilter = {}): Buffer {
  return flowStatsRequest(multipartType.flowDesc, xid, filter);
}

/** OFPMP_AGGREGATE_STATS: number of flows, packets and bytes. */
export function aggregateRequest(xid: number, filter: FlowFilter = {}): Buffer {
  return flowStatsRequest(multipartType.aggregate, xid, filter);
}

export function groupDescRequest(xid: number, group: number = allGroups): Buffer {
  return multipart(multipartType.groupDesc, xid, (writer) => {
    writer.u32(group);
    writer.zeros(4);
  });
}

export function meterConfigRequest(xid: number, meter: number = virtualMeter.all): Buffer {
  return multipart(multipartType.meterConfig, xid, (writer) => {
    writer.u32(meter);
    writer.zeros(4);
  });
}

/** OFPMP_PORT_STATS: counters of one port, or of every. */
export function portStatsRequest(xid: number, port: number = anyPort): Buffer {
  return multipart(multipartType.portStats, xid, (writer) => {
    writer.u32(port);
    writer.zeros(4);
  });
}

export function portDescRequest(xid: number, port: number = anyPort): Buffer {
  return multipart(multipartType.portDesc, xid, (writer) => {
    writer.u32(port);
    writer.zeros(4);
  });
}

/** One drop band. `burst` in kbit where the unit is kbps, in packets where it is pktps. */
export type MeterConfig = { meter: number; unit: 'kbps' | 'pktps'; rate: number; burst?: number };

/** OFPT_METER_MOD; not allowed in a bundle by Open vSwitch. Deleting takes the meter id only. */
export function meterMod(xid: number, command: 'add' | 'modify', config: MeterConfig): Buffer;
export function meterMod(xid: number, command: 'delete', config: Pick<MeterConfig, 'meter'>): Buffer;
export function meterMod(
  xid: number,
  command: 'add' | 'modify' | 'delete',
  config: Pick<MeterConfig, 'meter'> & Partial<MeterConfig>,
): Buffer {
  return message(messageType.meterMod, xid, (writer) => {
    const { meter, unit, rate = 0, burst } = config;
    writer.u16(command === 'add' ? 0 : command === 'modify' ? 1 : 2);
    // OFPMF_KBPS 1, OFPMF_PKTPS 2, OFPMF_BURST 4, OFPMF_STATS 8.
    const flags = (unit === 'pktps' ? 2 : 1) | (burst === undefined ? 0 : 4) | 8;
    writer.u16(command === 'delete' ? 0 : flags);
    writer.u32(meter);
    if (command === 'delete') return;
    writer.u16(1); // OFPMBT_DROP
    writer.u16(16);
    writer.u32(rate);
    writer.u32(burst ?? 0);
    writer.zeros(4);
  });
}

/** OFPT_PORT_MOD: sets the configuration bits of `mask` (portConfig) to those of `config`. `mac`: the port's own. */
export function portMod(xid: number, port: number, mac: number, config: number, mask: number): Buffer {
  return message(messageType.portMod, xid, (writer) => {
    writer.u32(port);
    writer.zeros(4);
    writer.u16(Math.floor(mac / 2 ** 32));
    writer.u32(mac % 2 ** 32);
    writer.zeros(2);
    writer.u32(config);
    writer.u32(mask);
  });
}

/** OFPT_GROUP_MOD with OFPGC_DELETE; without `group` deletes every group, and the flows that use them. */
export function groupDelete(xid: number, group: number = allGroups): Buffer {
  return message(messageType.groupMod, xid, (writer) => {
    writer.u16(2);
    writer.zeros(2);
    writer.u32(group);
    writer.zeros(4);
    writer.u32(0xffffffff); // OFPG_BUCKET_ALL
  });
}

/** A message of Nicira's, by its NXT_* number. */
export function experimenter(xid: number, type: number, body?: (writer: ByteWriter) => void): Buffer {
  return message(messageType.experimenter, xid, (writer) => {
    writer.u32(niciraVendor);
    writer.u32(type);
    body?.(writer);
  });
}

/** NXT_CT_FLUSH_ZONE (include/openflow/nicira-ext.h): forget every connection of a conntrack zone. */
export function ctFlushZone(xid: number, zone: number): Buffer {
  return experimenter(xid, 29, (writer) => {
    writer.zeros(6);
    writer.u16(zone);
  });
}

/** NXT_CT_FLUSH (include/openflow/nicira-ext.h, Open vSwitch 3.1): forget the connections that one direction tells apart. */
export function ctFlush(xid: number, { zone, direction, address, protocol = 0, port }: ConnectionsTo): Buffer {
  return experimenter(xid, 32, (writer) => {
    writer.u8(protocol);
    writer.zeros(7);
    // A tuple within: each member has a type, its length without the padding, and begins at a multiple of 8 bytes.
    const ports = port === undefined ? 0 : 8;
    writer.u16(direction === 'original' ? 0 : 1);
    writer.u16(8 + 24 + ports);
    writer.zeros(4);
    writer.u16(1); // NXT_CT_TUPLE_DST
    writer.u16(20);
    // IPv4-mapped IPv6.
    writer.zeros(10);
    writer.u16(0xffff);
    writer.u32(address);
    writer.zeros(4);
    if (port !== undefined) {
      writer.u16(3); // NXT_CT_TUPLE_DST_PORT
      writer.u16(8);
      writer.u16(port);
      writer.zeros(2);
    }
    writer.u16(2); // NXT_CT_ZONE_ID
    writer.u16(8);
    writer.u16(zone);
    writer.zeros(2);
  });
}

/** NXT_SET_CONTROLLER_ID (include/openflow/nicira-ext.h): controller actions with this id come to this connection. */
export function setControllerId(xid: number, id: number): Buffer {
  return experimenter(xid, 20, (writer) => {
    writer.zeros(6);
    writer.u16(id);
  });
}

/** OFPT_PACKET_OUT: run `actions` on a frame as if it had come in by `inPort`. */
export function packetOut(xid: number, inPort: number, actions: readonly Action[], data: Uint8Array): Buffer {
  return message(messageType.packetOut, xid, (writer) => {
    writer.u32(noBuffer);
    const actionsLength = writer.length;
    writer.u16(0);
    writer.zeros(2);
    encodeMatch(writer, { in_port: inPort });
    const start = writer.length;
    encodeActions(writer, actions);
    writer.setU16(actionsLength, writer.length - start);
    writer.bytes(data);
  });
}

export type FlowMonitor = { monitor: number; flags?: number; table?: number; match?: Match };

/**
 * OFPMP_FLOW_MONITOR, added. By default flows as they are added, removed or changed, with instructions, none of those
 * already there; our own changes come abbreviated to their xid.
 */
export function flowMonitorRequest(xid: number, monitor: FlowMonitor): Buffer {
  const whenAndWhat = monitorFlag.add | monitorFlag.removed | monitorFlag.modify | monitorFlag.instructions;
  return flowMonitor(xid, monitor.monitor, 0, monitor.flags ?? whenAndWhat, monitor.table, monitor.match);
}

/** Ends a monitor. */
export function flowMonitorCancel(xid: number, monitor: number): Buffer {
  return flowMonitor(xid, monitor, 2, 0, undefined, undefined);
}

function flowMonitor(
  xid: number,
  monitor: number,
  command: number,
  flags: number,
  table: number = allTables,
  match: Match = {},
): Buffer {
  return multipart(multipartType.flowMonitor, xid, (writer) => {
    writer.u32(monitor);
    writer.u32(anyPort);
    writer.u32(anyGroup);
    writer.u16(flags);
    writer.u8(table);
    writer.u8(command);
    encodeMatch(writer, match);
  });
}
