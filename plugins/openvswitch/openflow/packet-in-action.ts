/** The controller action with userdata (NXAST_CONTROLLER2 of lib/ofp-actions.c): a header and properties. */

import type { Action, PacketInReason } from '../../../src/pipeline/flow.ts';
import { type ByteWriter, need } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { startNicira, whole } from './nicira.ts';

type Controller = Extract<Action, { type: 'controller' }>;

export const controllerSubtype = 37;

/** NXAC2PT_*, in the order in which Open vSwitch writes them; what has its default is left out. */
const property = { maxLength: 0, controllerId: 1, reason: 2, userdata: 3, pause: 4, meter: 5 } as const;

const wholeFrame = 0xffff;
const highestMeter = 0xffff0000;
const head = 16;
const propertyHead = 4;

/** OFPR_*, by number. */
export const packetInReasons: readonly PacketInReason[] = [
  'no_match',
  'action',
  'invalid_ttl',
  'action_set',
  'group',
  'packet_out',
];
const byAction = packetInReasons.indexOf('action');

export function putController(target: ByteWriter, action: Controller): void {
  const { userdata, id = 0, meter, maxLength = wholeFrame, reason = 'action' } = action;
  // Without any property ovs-ofctl prints the plain output to the controller.
  if (userdata.length === 0) throw new Error('controller: userdata is empty');
  const start = target.length;
  startNicira(target, 0, controllerSubtype);
  target.zeros(6);
  if (whole(maxLength, 0, wholeFrame, 'controller maxLength') !== wholeFrame) {
    // Its padding counts (struct ofp_prop_be16 of lib/ofp-prop.c).
    startProperty(target, property.maxLength, 4);
    target.u16(maxLength);
    target.zeros(2);
  }
  if (whole(id, 0, 0xffff, 'controller id') !== 0) {
    startProperty(target, property.controllerId, 4);
    target.u16(id);
    target.zeros(2);
  }
  const reasonNumber = packetInReasons.indexOf(reason);
  if (reasonNumber < 0) throw new Error(`controller: unknown reason "${reason}"`);
  if (reasonNumber !== byAction) {
    startProperty(target, property.reason, 1);
    target.u8(reasonNumber);
    target.zeros(3);
  }
  const at = target.length;
  startProperty(target, property.userdata, whole(userdata.length, 1, 0xff00, 'controller userdata length'));
  target.bytes(userdata);
  target.pad(at, 8);
  if (meter !== undefined) {
    startProperty(target, property.meter, 4);
    target.u32(whole(meter, 1, highestMeter, 'controller meter'));
  }
  target.setU16(start + 2, target.length - start);
}

function startProperty(target: ByteWriter, type: number, bytes: number): void {
  target.u16(type);
  target.u16(propertyHead + bytes);
}

/** The controller action at `at`, of `length` bytes, all within `bytes`. */
export function decodeController(bytes: Buffer, at: number, length: number): Controller {
  const end = at + length;
  let userdata: Uint8Array | undefined;
  let rest: Omit<Controller, 'type' | 'userdata'> = {};
  for (let next = at + head; next < end; ) {
    need(bytes, next, propertyHead, 'controller property');
    const type = bytes.readUInt16BE(next);
    const size = bytes.readUInt16BE(next + 2);
    if (size < propertyHead || next + size > end) throw new ProtocolError(`controller property of ${size} bytes`);
    const value = bytes.subarray(next + propertyHead, next + size);
    if (type === property.userdata) userdata = new Uint8Array(value);
    else rest = { ...rest, ...other(type, value) };
    next += (size + 7) & ~7;
  }
  if (userdata === undefined || userdata.length === 0) {
    throw new VocabularyError('a controller action without userdata is none of ours');
  }
  return { type: 'controller', userdata, ...rest };
}

/** Bytes of the value, those that pad it to its end included where Open vSwitch counts them. */
const widths: Readonly<Record<number, number>> = {
  [property.maxLength]: 4,
  [property.controllerId]: 4,
  [property.reason]: 1,
  [property.meter]: 4,
};

function other(type: number, value: Buffer): Omit<Controller, 'type' | 'userdata'> {
  const width = widths[type];
  if (width === undefined) throw new VocabularyError(`controller property ${type} is none of ours`);
  if (value.length !== width) throw new ProtocolError(`controller property ${type} of ${value.length} bytes`);
  if (type === property.maxLength) {
    const maxLength = value.readUInt16BE(0);
    return maxLength === wholeFrame ? {} : { maxLength };
  }
  if (type === property.controllerId) {
    const id = value.readUInt16BE(0);
    return id === 0 ? {} : { id };
  }
  const number = value.readUIntBE(0, width);
  if (type === property.meter) return number === 0 ? {} : { meter: number };
  const reason = packetInReasons[number];
  if (reason === undefined) throw new VocabularyError(`controller reason ${number} is none of ours`);
  return reason === 'action' ? {} : { reason };
}
