/** Holds a flow to the declarations: used by tests over everything that is compiled. */
import { cookieGeneration, cookieStage, generation } from './cookie.ts';
import { type Action, type FieldName, type Flow, fieldBits, reservedPort } from './flow.ts';
import { connection, registers } from './registers.ts';
import { tableById, tables } from './tables.ts';

const declared = [...Object.values(registers), ...Object.values(connection)];

function isRegister(field: FieldName): boolean {
  return field === 'metadata' || field === 'ct_label' || field === 'ct_mark' || /^x*reg\d+$/.test(field);
}

function undeclared(field: FieldName, mask: bigint): boolean {
  if (!isRegister(field)) return false;
  const wide = /^xxreg(\d+)$/.exec(field);
  if (wide !== null) {
    return [0, 1, 2, 3].some((n) =>
      undeclared(`reg${Number(wide[1]) * 4 + n}` as FieldName, (mask >> BigInt(96 - 32 * n)) & all(32)),
    );
  }
  const known = declared
    .filter((r) => r.field === field)
    .reduce((m, r) => m | (((1n << BigInt(r.bits)) - 1n) << BigInt(r.offset)), 0n);
  return (mask & ~known) !== 0n;
}

const all = (bits: number) => (1n << BigInt(bits)) - 1n;

function* writes(actions: readonly Action[]): Iterable<[FieldName, bigint]> {
  for (const a of actions) {
    if (a.type === 'setField') yield [a.field, a.mask === undefined ? all(fieldBits[a.field]) : BigInt(a.mask)];
    if (a.type === 'move' || a.type === 'pop' || a.type === 'checkPktLarger' || a.type === 'bundleLoad')
      yield [a.target.field, all(a.target.bits) << BigInt(a.target.offset)];
    if (a.type === 'ct' && a.exec !== undefined) yield* writes(a.exec);
  }
}

/** Every action, those that others enclose included. */
function* every(actions: readonly Action[]): Iterable<Action> {
  for (const a of actions) {
    yield a;
    if (a.type === 'clone') yield* every(a.actions);
  }
}

/** What is wrong with the flow; empty when nothing is. */
export function undeclaredUses(flow: Flow): string[] {
  const table = tableById(flow.table);
  if (table === undefined) return [`table ${flow.table} is not declared`];
  const found: string[] = [];
  if (!table.priorities.some((p) => p.from <= flow.priority && flow.priority <= p.to)) {
    found.push(`${table.name}: priority ${flow.priority} is not declared`);
  }
  const actions = [...every(flow.actions)];
  if (
    table.controller === undefined &&
    actions.some((a) => a.type === 'controller' || (a.type === 'output' && a.port === reservedPort.controller))
  ) {
    found.push(`${table.name}: sends to the controller`);
  }
  const targets = [flow.goto, ...actions.map((a) => (a.type === 'ct' || a.type === 'resubmit' ? a.table : undefined))];
  const back = new Set(actions.map((a) => (a.type === 'resubmit' ? a.table : undefined)));
  for (const target of targets) {
    if (target === undefined) continue;
    const next = tableById(target);
    if (next !== undefined && back.has(target) && target !== flow.goto && table.back?.includes(next.name) === true)
      continue;
    if (next === undefined || !table.next.includes(next.name))
      found.push(`${table.name}: goes to ${next?.name ?? target}, which is not declared`);
    if (target <= flow.table) found.push(`${table.name}: goes back to table ${target}`);
  }
  for (const [field, mask] of writes(actions)) {
    if (undeclared(field, mask)) found.push(`${table.name}: writes undeclared bits of ${field}`);
  }
  for (const [field, value] of Object.entries(flow.match) as [FieldName, unknown][]) {
    const mask =
      typeof value === 'object' && value !== null && 'mask' in value
        ? BigInt(value.mask as number | bigint)
        : undefined;
    if (mask !== undefined && undeclared(field, mask)) found.push(`${table.name}: matches undeclared bits of ${field}`);
  }
  if (cookieGeneration(flow.cookie) !== generation) found.push(`${table.name}: cookie of another generation`);
  if (cookieStage(flow.cookie) !== flow.table) found.push(`${table.name}: cookie of another stage`);
  return found;
}

/** Registers that share bits, tables that share a number, or a way back: mistakes in the declarations themselves. */
export function mistakes(): string[] {
  const found: string[] = [];
  declared.forEach((a, i) => {
    for (const b of declared.slice(i + 1)) {
      if (a.field === b.field && a.offset < b.offset + b.bits && b.offset < a.offset + a.bits)
        found.push(`${a.name} and ${b.name} share bits of ${a.field}`);
    }
  });
  const all = Object.values(tables);
  for (const t of all) {
    if (all.some((o) => o !== t && o.id === t.id)) found.push(`table number ${t.id} is used twice`);
    for (const name of t.next) {
      const next = all.find((o) => o.name === name);
      if (next === undefined) found.push(`${t.name}: next table ${name} does not exist`);
      else if (next.id <= t.id) found.push(`${t.name}: ${name} is not after it`);
    }
    for (const name of t.back ?? []) {
      const earlier = all.find((o) => o.name === name);
      if (earlier === undefined) found.push(`${t.name}: table ${name} to go back to does not exist`);
      else if (earlier.id >= t.id) found.push(`${t.name}: ${name} is not before it`);
    }
  }
  return found;
}
