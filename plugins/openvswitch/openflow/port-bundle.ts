/**
 * The actions that take the first live port of several: NXAST_BUNDLE and NXAST_BUNDLE_LOAD (struct nx_action_bundle of
 * lib/ofp-actions.c) with the algorithm active_backup, which hashes nothing.
 */

import { type Action, reservedPort } from '../../../src/pipeline/flow.ts';
import { type ByteWriter, need } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { fieldSpec, offsetAndBits } from './fields.ts';
import { startNicira } from './nicira.ts';
import { fromLegacyPort, highestPort, toLegacyPort } from './ports.ts';
import type { PacketKind } from './prerequisites.ts';
import { checkSubfield, checkTarget, decodeSubfield } from './set-field.ts';

type Bundle = Extract<Action, { type: 'bundle' }>;
type BundleLoad = Extract<Action, { type: 'bundleLoad' }>;

/** NXAST_*, lib/ofp-actions.c. */
export const portBundleSubtype = { output: 12, load: 13 } as const;

/** Bytes before the list of members. */
export const portBundleHead = 32;

/** NX_BD_ALG_ACTIVE_BACKUP. */
const activeBackup = 0;
/** NX_HASH_FIELDS_ETH_SRC, which has no part in it. */
const ethSrc = 0;
/** NXM_OF_IN_PORT: members are ports. */
const ports = 0x00000002;
/** BUNDLE_MAX_MEMBERS. */
const mostMembers = 2048;
/** Open vSwitch wants room for a port number, and the wire has 6 bits for how many. */
const bitsOfTarget = { least: 16, most: 64 } as const;

function checkMembers(members: readonly number[]): void {
  if (members.length < 1 || members.length > mostMembers) throw new Error(`bundle of ${members.length} ports`);
  for (const port of members)
    if (!mayBeMember(port)) throw new Error(`bundle: ${port} is no port with a life of its own`);
}

function mayBeMember(port: number): boolean {
  return (Number.isInteger(port) && port >= 0 && port <= highestPort) || port === reservedPort.local;
}

export function putPortBundle(target: ByteWriter, action: Bundle | BundleLoad, kind: PacketKind | undefined): void {
  const { members } = action;
  checkMembers(members);
  const listBytes = (2 * members.length + 7) & ~7;
  startNicira(target, portBundleHead + listBytes, portBundleSubtype[action.type === 'bundle' ? 'output' : 'load']);
  target.u16(activeBackup);
  target.u16(ethSrc);
  target.u16(0);
  target.u32(ports);
  target.u16(members.length);
  if (action.type === 'bundle') target.zeros(6);
  else {
    const { offset, bits } = action.target;
    const spec = checkSubfield(action.target, kind, 'bundle_load to');
    checkTarget(spec, 'list');
    if (bits < bitsOfTarget.least || bits > bitsOfTarget.most) throw new Error(`bundle_load: a port into ${bits} bits`);
    // It has 32 bits for the field: an experimenter's does not fit.
    if (spec.nxmName.startsWith('ERICOXM')) throw new Error(`bundle_load: not into ${spec.name}`);
    target.u16(offsetAndBits(offset, bits));
    target.u32(spec.legacyHeader);
  }
  target.zeros(4);
  for (const port of members) target.u16(toLegacyPort(port));
  target.zeros(listBytes - 2 * members.length);
}

/** The action at `at`, of `length` bytes, all within `bytes`. */
export function decodePortBundle(bytes: Buffer, at: number, length: number): Bundle | BundleLoad {
  if (length < portBundleHead)
    throw new ProtocolError(`bundle action of ${length} bytes, at least ${portBundleHead} wanted`);
  need(bytes, at, length, 'bundle action');
  const load = bytes.readUInt16BE(at + 8) === portBundleSubtype.load;
  const [algorithm, fields, basis] = [10, 12, 14].map((from) => bytes.readUInt16BE(at + from));
  if (algorithm !== activeBackup || fields !== ethSrc || basis !== 0 || bytes.readUInt32BE(at + 16) !== ports) {
    throw new VocabularyError('a bundle action that hashes, or of other things than ports, is none of ours');
  }
  const count = bytes.readUInt16BE(at + 20);
  if (portBundleHead + ((2 * count + 7) & ~7) !== length) {
    throw new ProtocolError(`bundle action of ${length} bytes for ${count} ports`);
  }
  const members = Array.from({ length: count }, (_, n) =>
    fromLegacyPort(bytes.readUInt16BE(at + portBundleHead + 2 * n)),
  );
  if (count === 0 || count > mostMembers || !members.every(mayBeMember)) {
    throw new VocabularyError('a bundle action with these ports is none of ours');
  }
  if (!load) return { type: 'bundle', members };
  const packed = bytes.readUInt16BE(at + 22);
  const target = decodeSubfield(bytes.readUInt32BE(at + 24), packed >> 6, (packed & 63) + 1);
  if (!fieldSpec(target.field).writable) throw new VocabularyError(`bundle_load to ${target.field} is none of ours`);
  return { type: 'bundleLoad', target, members };
}
