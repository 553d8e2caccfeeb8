/** Actions as ovs-ofctl prints them (format_*() of lib/ofp-actions.c), and read back. */

import {
  type Action,
  fieldBits,
  type PacketInReason,
  reservedPort,
  type Subfield,
} from '../../../src/pipeline/flow.ts';
import { fieldOfText, fieldSpec } from './fields.ts';
import { packetInReasons } from './packet-in-action.ts';
import { highestPort } from './ports.ts';
import { call, cut, FlowTextError, type Piece, reading, split } from './text-scan.ts';
import {
  allOnes,
  formatIpv4,
  formatPort,
  formatValue,
  parseIpv4,
  parsePort,
  parseValue,
  parseWhole,
  toScalar,
} from './text-values.ts';

type Conntrack = Extract<Action, { type: 'ct' }>;
type Controller = Extract<Action, { type: 'controller' }>;
type Nat = NonNullable<Conntrack['nat']>;

export type PrintTable = (table: number) => string;
export type ReadTable = (text: string) => number;

export function formatActions(actions: readonly Action[], goto: number | undefined, table: PrintTable): string {
  const texts = actions.map((action) => formatAction(action, table));
  if (goto !== undefined) texts.push(`goto_table:${table(goto)}`);
  return texts.length === 0 ? 'drop' : texts.join(',');
}

function formatAction(action: Action, table: PrintTable): string {
  switch (action.type) {
    case 'output':
      if (action.port === reservedPort.controller) return 'CONTROLLER:65535';
      return action.port <= highestPort ? `output:${action.port}` : formatPort(action.port);
    case 'outputReg':
      return `output:${formatSubfield(action.source)}`;
    case 'group':
      return `group:${action.group}`;
    case 'meter':
      return `meter:${action.meter}`;
    case 'controller':
      return formatController(action);
    case 'bundle':
      return `bundle(${activeBackup},${formatMembers(action.members)})`;
    case 'bundleLoad':
      return `bundle_load(${activeBackup},${formatSubfield(action.target)},${formatMembers(action.members)})`;
    case 'checkPktLarger':
      return `check_pkt_larger(${action.length})->${formatSubfield(action.target)}`;
    case 'push':
      return `push:${formatSubfield(action.source)}`;
    case 'pop':
      return `pop:${formatSubfield(action.target)}`;
    case 'clone':
      return `clone(${formatActions(action.actions, undefined, table)})`;
    case 'setField': {
      const mask = action.mask === undefined ? undefined : BigInt(action.mask);
      const full = mask === undefined || mask === allOnes(action.field);
      const value = BigInt(action.value) & (mask ?? allOnes(action.field));
      const text = formatValue(action.field, full ? { value } : { value, mask });
      return `set_field:${text}->${fieldSpec(action.field).ovsName}`;
    }
    case 'move':
      return `move:${formatSubfield(action.source)}->${formatSubfield(action.target)}`;
    case 'decTtl':
      return 'dec_ttl';
    case 'ct':
      return formatConntrack(action, table);
    case 'ctClear':
      return 'ct_clear';
    case 'conjunction':
      return `conjunction(${action.id},${action.clause}/${action.clauses})`;
    case 'resubmit': {
      const port = action.port === undefined || action.port === reservedPort.inPort ? '' : formatPort(action.port);
      return `resubmit(${port},${table(action.table)})`;
    }
    case 'note': {
      // Padded as on the wire, which is what a switch gives back.
      const length = 6 + 8 * Math.ceil(Math.max(0, action.data.length - 6) / 8);
      const bytes = Array.from({ length }, (_, at) => (action.data[at] ?? 0).toString(16).padStart(2, '0'));
      return `note:${bytes.join('.')}`;
    }
  }
}

/** Fields that are hashed, the hash's basis, the algorithm, and what members are. */
const activeBackup = 'eth_src,0,active_backup,ofport';

function formatMembers(members: readonly number[]): string {
  return `members:${members.map(formatPort).join(',')}`;
}

function formatController({ userdata, id = 0, meter, maxLength = 0xffff, reason = 'action' }: Controller): string {
  const parts: string[] = [];
  if (reason !== 'action') parts.push(`reason=${reason}`);
  if (maxLength !== 0xffff) parts.push(`max_len=${maxLength}`);
  if (id !== 0) parts.push(`id=${id}`);
  parts.push(`userdata=${dottedHex(userdata)}`);
  if (meter !== undefined) parts.push(`meter_id=${meter}`);
  return `controller(${parts.join(',')})`;
}

function dottedHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('.');
}

function formatSubfield({ field, offset, bits }: Subfield): string {
  const spec = fieldSpec(field);
  if (offset === 0 && bits === spec.moveBits) return `${spec.nxmName}[]`;
  return bits === 1 ? `${spec.nxmName}[${offset}]` : `${spec.nxmName}[${offset}..${offset + bits - 1}]`;
}

function formatConntrack(action: Conntrack, table: PrintTable): string {
  const parts: string[] = [];
  if (action.commit) parts.push('commit');
  if (action.force) parts.push('force');
  if (action.table !== undefined) parts.push(`table=${table(action.table)}`);
  if (typeof action.zone !== 'number') parts.push(`zone=${formatSubfield(action.zone)}`);
  else if (action.zone !== 0) parts.push(`zone=${action.zone}`);
  if (action.nat !== undefined) parts.push(formatNat(action.nat));
  if (action.exec !== undefined && action.exec.length > 0) {
    parts.push(`exec(${formatActions(action.exec, undefined, table)})`);
  }
  if (action.alg !== undefined) parts.push(`alg=${action.alg}`);
  return `ct(${parts.join(',')})`;
}

function formatNat({ kind, ipMin, ipMax, portMin, portMax }: Nat): string {
  if (kind === 'restore') return 'nat';
  if (ipMin === undefined) return `nat(${kind})`;
  const ip = (address: number): string => formatIpv4(BigInt(address));
  let range = ip(ipMin);
  if (ipMax !== undefined && ipMax !== ipMin) range += `-${ip(ipMax)}`;
  if (portMin !== undefined) range += `:${portMin}`;
  if (portMax !== undefined && portMax !== portMin) range += `-${portMax}`;
  return `nat(${kind}=${range})`;
}

/** Reads an action list; goto_table comes last. Throws FlowTextError. */
export function parseActions(whole: Piece, table: ReadTable): { actions: Action[]; goto?: number } {
  const pieces = split(whole);
  if (pieces.length === 0) throw new FlowTextError(whole, 'no action; for none say drop');
  if (pieces.length === 1 && pieces[0]!.text === 'drop') return { actions: [] };
  const actions: Action[] = [];
  let goto: number | undefined;
  for (const piece of pieces) {
    if (goto !== undefined) throw new FlowTextError(piece, 'nothing may follow goto_table');
    const target = /^goto_table:(.*)$/.exec(piece.text)?.[1];
    if (target !== undefined) goto = reading(piece, () => table(target));
    else actions.push(reading(piece, () => parseAction(piece, table)));
  }
  return goto === undefined ? { actions } : { actions, goto };
}

function parseAction(piece: Piece, table: ReadTable): Action {
  const larger = /^check_pkt_larger\((\w+)\)->(.*)$/.exec(piece.text);
  if (larger !== null) {
    const length = Number(parseWhole(larger[1]!, 16));
    return { type: 'checkPktLarger', length, target: parseSubfield(larger[2]!) };
  }
  const called = call(piece);
  if (called !== undefined) return parseCall(called.name, called.inner, table);
  const [name, argument] = cut(piece, /:/);
  const text = argument?.text;
  switch (name.text) {
    case 'dec_ttl':
      return { type: 'decTtl' };
    case 'ct_clear':
      return { type: 'ctClear' };
    case 'ct':
      return { type: 'ct', zone: 0 };
    case 'output':
      return parseOutput(text ?? '');
    case 'group':
      return { type: 'group', group: Number(parseWhole(text ?? '', 32)) };
    case 'meter':
      return { type: 'meter', meter: Number(parseWhole(text ?? '', 32)) };
    case 'set_field':
      return parseSetField(text ?? '');
    case 'load':
      return parseLoad(text ?? '');
    case 'move': {
      const [source, target] = arrow(text ?? '');
      return { type: 'move', source: parseSubfield(source), target: parseSubfield(target) };
    }
    case 'push':
      return { type: 'push', source: parseSubfield(text ?? '') };
    case 'pop':
      return { type: 'pop', target: parseSubfield(text ?? '') };
    case 'note':
      return { type: 'note', data: parseHexBytes(text ?? '') };
    case 'CONTROLLER':
    case 'controller':
      if (text !== undefined && text !== '65535') throw new Error('only whole frames (65535) go to the controller');
      return { type: 'output', port: reservedPort.controller };
    default:
      if (text === undefined && (/^\d/.test(name.text) || /^[A-Z_]+$/i.test(name.text)))
        return parsePlainPort(name.text);
      throw new Error(`unknown action "${name.text}"`);
  }
}

function parsePlainPort(text: string): Action {
  try {
    return { type: 'output', port: parsePort(text) };
  } catch (error) {
    throw new Error(`unknown action "${text}"`, { cause: error });
  }
}

function parseOutput(text: string): Action {
  if (text.includes('[')) return { type: 'outputReg', source: parseSubfield(text) };
  return { type: 'output', port: parsePort(text) };
}

function arrow(text: string): [string, string] {
  const at = text.indexOf('->');
  if (at < 0) throw new Error('"->" is missing');
  return [text.slice(0, at), text.slice(at + 2)];
}

function parseSetField(text: string): Action {
  const [valueText, fieldText] = arrow(text);
  const field = fieldOfText(fieldText)?.name;
  if (field === undefined) throw new Error(`unknown field "${fieldText}"`);
  const { value, mask } = parseValue(field, valueText);
  if (mask === undefined) return { type: 'setField', field, value: toScalar(field, value) };
  return { type: 'setField', field, value: toScalar(field, value), mask: toScalar(field, mask) };
}

/** load:V->FIELD[from..to] is set_field with a mask. */
function parseLoad(text: string): Action {
  const [valueText, target] = arrow(text);
  const { field, offset, bits } = parseSubfield(target);
  const value = toScalar(field, parseWhole(valueText, bits) << BigInt(offset));
  if (bits === fieldBits[field]) return { type: 'setField', field, value };
  return { type: 'setField', field, value, mask: toScalar(field, ((1n << BigInt(bits)) - 1n) << BigInt(offset)) };
}

function parseSubfield(text: string): Subfield {
  const parts = /^(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]$/.exec(text);
  if (parts === null) throw new Error(`"${text}" is no subfield; FIELD[], FIELD[bit] or FIELD[from..to] is one`);
  const spec = fieldOfText(parts[1]!);
  if (spec === undefined) throw new Error(`unknown field "${parts[1]}"`);
  if (parts[2] === undefined) return { field: spec.name, offset: 0, bits: spec.moveBits };
  const offset = Number(parts[2]);
  const last = Number(parts[3] ?? parts[2]);
  if (last < offset || last >= spec.moveBits) throw new Error(`${spec.name} has bits 0 to ${spec.moveBits - 1}`);
  return { field: spec.name, offset, bits: last - offset + 1 };
}

function parseHexBytes(text: string): Uint8Array {
  const digits = text.replaceAll('.', '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`"${text}" is not bytes in hex`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

function parseCall(name: string, inner: Piece, table: ReadTable): Action {
  switch (name) {
    case 'ct':
      return parseConntrack(inner, table);
    case 'clone':
      return { type: 'clone', actions: parseActions(inner, table).actions };
    case 'controller':
      return parseController(inner);
    case 'bundle':
    case 'bundle_load':
      return parseBundle(name, inner.text);
    case 'resubmit': {
      const [port, target, ...more] = inner.text.split(',');
      if (target === undefined || target === '' || more.length > 0) throw new Error('resubmit(port,table) wanted');
      if (port === '') return { type: 'resubmit', table: table(target) };
      return { type: 'resubmit', table: table(target), port: parsePort(port!) };
    }
    case 'conjunction': {
      const parts = /^(\w+),\s*(\d+)\/(\d+)$/.exec(inner.text);
      if (parts === null) throw new Error('conjunction(id,clause/clauses) wanted');
      const id = Number(parseWhole(parts[1]!, 32));
      return { type: 'conjunction', id, clause: Number(parts[2]), clauses: Number(parts[3]) };
    }
    default:
      throw new Error(`unknown action "${name}"`);
  }
}

function parseBundle(name: string, text: string): Action {
  const parts = /^eth_src, *0, *active_backup, *ofport, *(?:([\w.[\]]+), *)?(?:members|slaves):(.*)$/.exec(text);
  const target = parts?.[1];
  if (parts === null || (name === 'bundle_load') === (target === undefined)) {
    throw new Error(`${name}(${activeBackup},${name === 'bundle' ? '' : 'FIELD[],'}members:port,…) wanted`);
  }
  const members = parts[2]!.split(',').map((port) => parsePort(port.trim()));
  if (target === undefined) return { type: 'bundle', members };
  return { type: 'bundleLoad', target: parseSubfield(target), members };
}

function parseController(inner: Piece): Action {
  const action: Controller = { type: 'controller', userdata: new Uint8Array() };
  for (const piece of split(inner)) {
    reading(piece, () => {
      const [name, value] = cut(piece, /=/);
      const text = value?.text ?? '';
      if (name.text === 'userdata') action.userdata = parseHexBytes(text);
      else if (name.text === 'id') action.id = Number(parseWhole(text, 16));
      else if (name.text === 'meter_id') action.meter = Number(parseWhole(text, 32));
      else if (name.text === 'max_len') action.maxLength = Number(parseWhole(text, 16));
      else if (name.text === 'reason') action.reason = parseReason(text);
      else throw new Error('no argument of controller');
    });
  }
  if (action.userdata.length === 0) throw new Error('controller needs userdata');
  return action;
}

function parseReason(text: string): PacketInReason {
  const reason = packetInReasons.find((known) => known === text);
  if (reason === undefined) throw new Error(`"${text}" is none of ${packetInReasons.join(', ')}`);
  return reason;
}

function parseConntrack(inner: Piece, table: ReadTable): Conntrack {
  const action: Conntrack = { type: 'ct', zone: 0 };
  for (const piece of split(inner)) {
    reading(piece, () => {
      const called = call(piece);
      const [name, value] = cut(piece, /=/);
      if (called?.name === 'exec') action.exec = parseActions(called.inner, table).actions;
      else if (called?.name === 'nat') action.nat = parseNat(called.inner.text);
      else if (name.text === 'nat' && value === undefined) action.nat = { kind: 'restore' };
      else if (name.text === 'commit' && value === undefined) action.commit = true;
      else if (name.text === 'force' && value === undefined) action.force = true;
      else if (name.text === 'table' && value !== undefined) action.table = table(value.text);
      else if (name.text === 'zone' && value !== undefined) action.zone = parseZone(value.text);
      else if (name.text === 'alg' && (value?.text === 'ftp' || value?.text === 'tftp')) action.alg = value.text;
      else throw new Error('no argument of ct');
    });
  }
  return action;
}

function parseZone(text: string): number | Subfield {
  return text.includes('[') ? parseSubfield(text) : Number(parseWhole(text, 16));
}

function parseNat(text: string): Nat {
  if (text === '') return { kind: 'restore' };
  const parts = /^(src|dst)(?:=([\d.]+)(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?)?$/.exec(text);
  if (parts === null) throw new Error('nat(src|dst[=ip[-ip][:port[-port]]]) wanted');
  const [, kind, ipMin, ipMax, portMin, portMax] = parts;
  const nat: Nat = { kind: kind as 'src' | 'dst' };
  if (ipMin !== undefined) nat.ipMin = Number(parseIpv4(ipMin));
  if (ipMax !== undefined) nat.ipMax = Number(parseIpv4(ipMax));
  if (portMin !== undefined) nat.portMin = Number(parseWhole(portMin, 16));
  if (portMax !== undefined) nat.portMax = Number(parseWhole(portMax, 16));
  return nat;
}
